package main

import (
	"io"
	"net"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// So many rounds of arithmetic take a microsecond, about, at 3 GHz.
const roundsPerUs = 400

// Marsaglia's xorshift.
//
//go:noinline
func arithmetic(value uint64, rounds int) uint64 {
	for range rounds {
		value ^= value << 13
		value ^= value >> 7
		value ^= value << 17
	}
	return value
}

type job struct {
	number, value uint64
}

func newJob(number uint64) job { return job{number, number + 1} }

func (j job) work(us int) job {
	j.value = arithmetic(j.value, us*roundsPerUs)
	return j
}

// results tell which jobs came out: each number once, and, of every 64th, that the work was done.
type results struct {
	count, numbers, wrong uint64
}

func (r *results) add(j job, us int) {
	r.count++
	r.numbers += j.number
	if j.number%64 == 0 && newJob(j.number).work(us) != j {
		r.wrong++
	}
}

func (r results) check(jobs int) {
	check("the jobs' count, sum, and number of wrong ones", r, results{uint64(jobs), sumBelow(jobs), 0})
}

func sieve() []figure {
	primes := of(2_000)
	start := time.Now()
	c := make(chan uint64)
	over := make(chan struct{})
	go count(c, over)
	prime := uint64(0)
	for range primes {
		prime = <-c
		next := make(chan uint64)
		go filter(prime, c, next)
		c = next
	}
	time := time.Since(start)
	check("the last prime", prime, nthPrime(primes))
	// The filters hang for ever, as they do in the sieve that Go's users know; only their source ends.
	close(over)
	return []figure{{"ms", ms(time)}}
}

func count(to chan<- uint64, over <-chan struct{}) {
	for number := uint64(2); ; number++ {
		select {
		case to <- number:
		case <-over:
			return
		}
	}
}

func filter(prime uint64, from <-chan uint64, to chan<- uint64) {
	for {
		if number := <-from; number%prime != 0 {
			to <- number
		}
	}
}

func nthPrime(n int) uint64 {
	var primes []uint64
candidates:
	for candidate := uint64(2); len(primes) < n; candidate++ {
		for _, prime := range primes {
			if prime*prime > candidate {
				break
			}
			if candidate%prime == 0 {
				continue candidates
			}
		}
		primes = append(primes, candidate)
	}
	return primes[n-1]
}

func timers() []figure {
	tasks := of(100_000)
	start, cpu := time.Now(), cpuTime()
	var group sync.WaitGroup
	var late atomic.Int64
	group.Add(tasks)
	for index := range uint64(tasks) {
		go func() {
			nap := time.Duration(index*2_654_435_761%(1<<32)%100_000) * time.Microsecond
			start := time.Now()
			time.Sleep(nap)
			over := time.Since(start) - nap
			check("whether a sleep was too short", over < 0, false)
			late.Add(over.Microseconds())
			group.Done()
		}()
	}
	group.Wait()
	return []figure{
		{"cpu ms", ms(cpuTime() - cpu)},
		{"wall ms", ms(time.Since(start))},
		{"late ms", float64(late.Load()) / 1e3 / float64(tasks)},
	}
}

const stages = 8

func pipeline() []figure {
	jobs := of(200_000)
	first := make(chan job, 16)
	start := time.Now()
	go func() {
		for number := range uint64(jobs) {
			first <- newJob(number)
		}
		close(first)
	}()
	last := first
	for range stages {
		from, to := last, make(chan job, 16)
		go func() {
			for j := range from {
				to <- j.work(1)
			}
			close(to)
		}()
		last = to
	}
	var all results
	for j := range last {
		all.add(j, stages)
	}
	figures := nsPer(start, jobs)
	all.check(jobs)
	return figures
}

func pool() []figure {
	jobs := of(200_000)
	orders, done := make(chan job, 64), make(chan job, 64)
	start := time.Now()
	go func() {
		for number := range uint64(jobs) {
			orders <- newJob(number)
		}
		close(orders)
	}()
	var group sync.WaitGroup
	group.Add(8)
	for range 8 {
		go func() {
			for j := range orders {
				done <- j.work(2)
			}
			group.Done()
		}()
	}
	go func() {
		group.Wait()
		close(done)
	}()
	var all results
	for j := range done {
		all.add(j, 2)
	}
	figures := nsPer(start, jobs)
	all.check(jobs)
	return figures
}

var sink atomic.Uint64

func hog() []figure {
	length := time.Duration(2e9 * min(scale, 1))
	var begun, over atomic.Bool
	lateness := make(chan []time.Duration)
	go func() {
		var late []time.Duration
		for !over.Load() {
			start := time.Now()
			time.Sleep(time.Millisecond)
			if begun.Load() {
				late = append(late, time.Since(start)-time.Millisecond)
			}
		}
		lateness <- late
	}()
	// It sleeps when they begin.
	time.Sleep(5 * time.Millisecond)
	begun.Store(true)
	var group sync.WaitGroup
	group.Add(2)
	for range 2 {
		go func() {
			value := uint64(1)
			for start := time.Now(); time.Since(start) < length; {
				value = arithmetic(value, roundsPerUs)
			}
			sink.Add(value)
			group.Done()
		}()
	}
	group.Wait()
	over.Store(true)
	late := <-lateness
	sort.Slice(late, func(a, b int) bool { return late[a] < late[b] })
	// Of the sleeps in which half of the time has passed: who starves has few of them, and long ones.
	var all, passed, middle time.Duration
	for _, over := range late {
		all += over + time.Millisecond
	}
	for _, over := range late {
		passed += over + time.Millisecond
		if 2*passed >= all {
			middle = over
			break
		}
	}
	return []figure{{"p50 ms", ms(middle)}, {"max ms", ms(late[len(late)-1])}}
}

func blocking() []figure {
	var over atomic.Bool
	counted := make(chan float64)
	go func() {
		ticks := 0.0
		for !over.Load() {
			time.Sleep(time.Millisecond)
			ticks++
		}
		counted <- ticks
	}()
	start := time.Now()
	var group sync.WaitGroup
	group.Add(64)
	for range 64 {
		go func() {
			for range 5 {
				nap := syscall.NsecToTimespec(20_000_000)
				for syscall.Nanosleep(&nap, &nap) == syscall.EINTR {
				}
			}
			group.Done()
		}()
	}
	group.Wait()
	time := ms(time.Since(start))
	over.Store(true)
	return []figure{{"ms", time}, {"ticks", <-counted}}
}

func echo() []figure {
	trips := of(20_000)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	go func() {
		for range 64 {
			client, err := listener.Accept()
			if err != nil {
				panic(err)
			}
			go func() {
				defer client.Close()
				var message [64]byte
				for {
					if _, err := io.ReadFull(client, message[:]); err != nil {
						return
					}
					if _, err := client.Write(message[:]); err != nil {
						panic(err)
					}
				}
			}()
		}
	}()
	var group sync.WaitGroup
	group.Add(64)
	start := time.Now()
	for client := range 64 {
		go func() {
			server, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				panic(err)
			}
			defer server.Close()
			var message, answer [64]byte
			for trip := range trips {
				for i := range message {
					message[i] = byte(client ^ trip)
				}
				if _, err := server.Write(message[:]); err != nil {
					panic(err)
				}
				if _, err := io.ReadFull(server, answer[:]); err != nil {
					panic(err)
				}
				check("the echo", answer, message)
			}
			group.Done()
		}()
	}
	group.Wait()
	return []figure{{"req/s", float64(64*trips) / time.Since(start).Seconds()}}
}
