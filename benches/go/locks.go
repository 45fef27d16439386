package main

import (
	"sync"
	"time"
)

func mutex1() []figure {
	times := of(20_000_000)
	var mutex sync.Mutex
	number := 0
	start := time.Now()
	for range times {
		mutex.Lock()
		number++
		mutex.Unlock()
	}
	figures := nsPer(start, times)
	check("the number behind the mutex", number, times)
	return figures
}

func mutex8() []figure {
	each := of(4_000_000 / 8)
	var mutex sync.Mutex
	var group sync.WaitGroup
	number := 0
	group.Add(8)
	start := time.Now()
	for range 8 {
		go func() {
			for range each {
				mutex.Lock()
				number++
				mutex.Unlock()
			}
			group.Done()
		}()
	}
	group.Wait()
	figures := nsPer(start, 8*each)
	check("the number behind the mutex", number, 8*each)
	return figures
}

func rwRead() []figure {
	each := of(8_000_000 / 4)
	var lock sync.RWMutex
	value := 3
	sums := make(chan int, 4)
	start := time.Now()
	for range 4 {
		go func() {
			sum := 0
			for range each {
				lock.RLock()
				sum += value
				lock.RUnlock()
			}
			sums <- sum
		}()
	}
	sum := 0
	for range 4 {
		sum += <-sums
	}
	figures := nsPer(start, 4*each)
	check("the sum of what was read", sum, 3*4*each)
	return figures
}

func waitGroup() []figure {
	times := of(20_000_000)
	var group sync.WaitGroup
	start := time.Now()
	for range times {
		group.Add(1)
		group.Done()
	}
	group.Wait()
	return nsPer(start, times)
}
