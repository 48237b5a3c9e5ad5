// SPDX-License-Identifier: BSD-3-Clause
// Go: goroutines on several threads, channels, a garbage collector, panics, timers.  As worker.c otherwise.
package main

import (
	"fmt"
	"os"
	"sort"
	"time"
)

const rounds = 100

func mix(value uint64) uint64 { return (value ^ value>>29) * 0xbf58476d1ce4e5b9 }

func compute(seed uint64, results chan<- uint64) {
	defer func() {
		if failure := recover(); failure != nil {
			results <- failure.(uint64) + 1
		}
	}()
	for i := uint64(0); i < 1500000; i++ {
		seed = mix(seed + i)
	}
	if seed%3 == 0 {
		panic(seed)
	}
	results <- seed
}

func missing(values map[string]*int) (caught bool) {
	defer func() { caught = recover() != nil }()
	*values["nothing"] = 1 // a fault that the runtime makes a panic of
	return false
}

func main() {
	out, err := os.Create("out.0")
	if err != nil {
		panic(err)
	}
	state := uint64(1)
	process := os.Getpid()
	kept := map[int][]byte{}
	ticker := time.NewTicker(time.Millisecond)
	for round := 1; round <= rounds; round++ {
		results := make(chan uint64)
		for i := 0; i < 8; i++ {
			go compute(state+uint64(i), results)
		}
		var all []uint64
		for i := 0; i < 8; i++ {
			all = append(all, <-results)
		}
		sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
		for _, value := range all {
			state = mix(state + value)
		}
		kept[round%10] = make([]byte, 100000)
		<-ticker.C
		fmt.Fprintln(out, round, state, missing(map[string]*int{}), len(kept), os.Getpid() == process)
	}
	for {
		if _, err := os.Stat("finish"); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	out.Close()
}
