// SPDX-License-Identifier: BSD-3-Clause
// A JVM: compiled code made at run time, a garbage collector with its threads, exceptions, a pool of threads, direct memory.  As worker.c
// otherwise.
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

public class Kind {
  static final int ROUNDS = 100;

  static long mix(long value) {
    return (value ^ value >>> 29) * 0xbf58476d1ce4e5b9L;
  }

  static long compute(long seed) {
    for (int i = 0; i < 2500000; i++) seed = mix(seed + i);
    if (seed % 3 == 0) throw new IllegalStateException(Long.toString(seed));
    return seed;
  }

  static long caught(Future<Long> future) throws InterruptedException {
    try {
      return future.get();
    } catch (java.util.concurrent.ExecutionException failure) {
      return Long.parseLong(failure.getCause().getMessage()) + 1;
    }
  }

  public static void main(String[] arguments) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(3);
    ByteBuffer direct = ByteBuffer.allocateDirect(1 << 20);
    List<byte[]> garbage = new ArrayList<>();
    long state = 1;
    int missing = 0;
    try (PrintWriter out = new PrintWriter(Files.newBufferedWriter(Path.of("out.0")), true)) {
      for (int round = 1; round <= ROUNDS; round++) {
        List<Future<Long>> futures = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
          final long seed = state + i;
          futures.add(pool.submit(() -> compute(seed)));
        }
        for (Future<Long> future : futures) state = mix(state + caught(future));
        for (int i = 0; i < 200; i++) garbage.add(new byte[5000]);
        if (garbage.size() > 4000) garbage.clear();
        direct.putLong((round * 8) % (1 << 20), state);
        try {
          Object nothing = round > 0 ? null : "";
          nothing.hashCode();
        } catch (NullPointerException expected) {  // the JVM makes it of a SIGSEGV
          missing++;
        }
        out.println(round + " " + Long.toHexString(state) + " " + missing + " " + direct.getLong(round * 8));
      }
      while (!Files.exists(Path.of("finish"))) Thread.sleep(2);
    }
    pool.shutdown();
  }
}
