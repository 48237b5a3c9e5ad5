// SPDX-License-Identifier: BSD-3-Clause
// V8: compiled code made at run time, a worker thread with a heap of its own, libuv's threads, timers.  As worker.c otherwise.
const crypto = require('crypto');
const fs = require('fs');
const zlib = require('zlib');
const { Worker, isMainThread, parentPort } = require('worker_threads');

const ROUNDS = 100;

function mix(state, rounds) {
  for (let i = 0; i < rounds; i++) state = (Math.imul(state, 1103515245) + 12345 + i) | 0;
  return state;
}

async function main() {
  const out = fs.openSync('out.0', 'w');
  const worker = new Worker(__filename);
  const ask = (n) => new Promise((resolve) => { worker.once('message', resolve); worker.postMessage(n); });
  const deflate = (bytes) => new Promise((resolve) => zlib.deflate(bytes, (_, packed) => resolve(packed)));
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const kept = new Map();
  let state = 1;
  for (let round = 1; round <= ROUNDS; round++) {
    const asked = ask(state), packed = deflate(Buffer.alloc(100000, String(state)));
    const own = mix(state + 1, 200000);
    for (let i = 0; i < 1000; i++) kept.set((round * 7 + i) % 3000, { text: 'x' + i, list: [i, round] });
    state = ((await asked) ^ own ^ (await packed).length) | 0;
    await sleep(1);
    let caught = false;
    try { null.nothing; } catch (error) { caught = true; }
    fs.writeSync(out, `${round} ${state} ${kept.size} ${caught} ${crypto.createHash('sha1').update(String(state)).digest('hex')}\n`);
  }
  while (!fs.existsSync('finish')) await sleep(2);
  await worker.terminate();
}

if (isMainThread) main();
else parentPort.on('message', (n) => parentPort.postMessage(mix(n, 200000)));
