package main

import (
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func yields() []figure {
	each := of(1_000_000)
	start := time.Now()
	yieldPair(each, runtime.Gosched)
	return nsPer(start, 2*each)
}

func spawn() []figure {
	times := of(1_000)
	start := time.Now()
	for range times {
		var group sync.WaitGroup
		group.Add(1_000)
		for range 1_000 {
			go group.Done()
		}
		group.Wait()
	}
	return nsPer(start, times*1_000)
}

func spawnJoin() []figure {
	times := of(500_000)
	sum := uint64(0)
	start := time.Now()
	for number := range uint64(times) {
		result := make(chan uint64, 1)
		go func() { result <- number }()
		sum += <-result
	}
	figures := nsPer(start, times)
	check("the sum of what was joined", sum, sumBelow(times))
	return figures
}

func skynet() []figure {
	leaves := 10
	for leaves*10 <= of(1_000_000) {
		leaves *= 10
	}
	c := make(chan uint64, 1)
	start := time.Now()
	go skynetNode(c, 0, leaves)
	sum := <-c
	time := time.Since(start)
	check("skynet's sum", sum, sumBelow(leaves))
	return []figure{{"ms", ms(time)}}
}

func skynetNode(parent chan<- uint64, first, leaves int) {
	if leaves == 1 {
		parent <- uint64(first)
		return
	}
	c := make(chan uint64, 10)
	for child := range 10 {
		go skynetNode(c, first+child*(leaves/10), leaves/10)
	}
	sum := uint64(0)
	for range 10 {
		sum += <-c
	}
	parent <- sum
}

func fib() []figure {
	n := min(max(int(math.Round(23+math.Log(scale)/0.481211825)), 5), 40)
	start := time.Now()
	result := fibNode(n)
	time := time.Since(start)
	a, b := uint64(0), uint64(1)
	for range n {
		a, b = b, a+b
	}
	check("fib", result, a)
	return []figure{{"ms", ms(time)}}
}

func fibNode(n int) uint64 {
	if n < 2 {
		return uint64(n)
	}
	left := make(chan uint64, 1)
	go func() { left <- fibNode(n - 1) }()
	right := fibNode(n - 2)
	return <-left + right
}

func million() []figure {
	tasks := of(1_000_000)
	create, release, bytes := crowd(tasks)
	warmCreate, warmRelease, _ := crowd(tasks)
	return []figure{
		{"bytes/task", bytes},
		{"create ms", create},
		{"release ms", release},
		{"warm create ms", warmCreate},
		{"warm release ms", warmRelease},
	}
}

func crowd(tasks int) (create, release, bytes float64) {
	c := make(chan uint64)
	var started, ended atomic.Int64
	all := func(count *atomic.Int64) {
		for count.Load() < int64(tasks) {
			time.Sleep(time.Millisecond)
		}
	}
	start, before := time.Now(), resident()
	for range tasks {
		go func() {
			started.Add(1)
			_, ok := <-c
			check("whether a value came", ok, false)
			ended.Add(1)
		}()
	}
	all(&started)
	create = ms(time.Since(start))
	// The last ones to start are about to wait.
	time.Sleep(5 * time.Millisecond)
	bytes = float64(resident()-before) / float64(tasks)
	check("the tasks that have ended too early", ended.Load(), 0)
	start = time.Now()
	close(c)
	all(&ended)
	return create, ms(time.Since(start)), bytes
}
