package main

import "time"

func yieldPair(each int, yield func()) {
	done := make(chan struct{})
	for range 2 {
		go func() {
			for range each {
				yield()
			}
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

func pingpong() []figure {
	trips := of(500_000)
	ping, pong := make(chan uint64), make(chan uint64)
	start := time.Now()
	go func() {
		for number := range ping {
			pong <- number + 1
		}
		close(pong)
	}()
	number := uint64(0)
	for range trips {
		ping <- number
		number = <-pong
	}
	figures := nsPer(start, trips)
	check("pingpong's count", number, uint64(trips))
	close(ping)
	<-pong
	return figures
}

type tally struct {
	count, sum uint64
}

func consume(c <-chan uint64) (t tally) {
	for number := range c {
		t.count++
		t.sum += number
	}
	return t
}

func pipe(producers, consumers, capacity, messages int) []figure {
	each := of(messages / producers)
	messages = producers * each
	c := make(chan uint64, capacity)
	sent := make(chan struct{}, producers)
	start := time.Now()
	for producer := range producers {
		go func() {
			for number := producer * each; number < (producer+1)*each; number++ {
				c <- uint64(number)
			}
			sent <- struct{}{}
		}()
	}
	go func() {
		for range producers {
			<-sent
		}
		close(c)
	}()
	var all tally
	if consumers == 1 {
		all = consume(c)
	} else {
		tallies := make(chan tally, consumers)
		for range consumers {
			go func() { tallies <- consume(c) }()
		}
		for range consumers {
			t := <-tallies
			all.count += t.count
			all.sum += t.sum
		}
	}
	figures := nsPer(start, messages)
	check("the messages' count and sum", all, tally{uint64(messages), sumBelow(messages)})
	return figures
}

func uncontended() []figure {
	rounds := (of(10_000_000) + 127) / 128
	c := make(chan uint64, 128)
	sum := uint64(0)
	start := time.Now()
	for range rounds {
		for number := range uint64(128) {
			c <- number
		}
		for range 128 {
			sum += <-c
		}
	}
	figures := nsPer(start, rounds*128)
	check("the messages' sum", sum, uint64(rounds)*sumBelow(128))
	return figures
}

func tryEmpty() []figure {
	times := of(20_000_000)
	c := make(chan uint64, 128)
	found := 0
	start := time.Now()
	for range times {
		select {
		case <-c:
			found++
		default:
		}
	}
	figures := nsPer(start, times)
	check("what was in an empty channel", found, 0)
	return figures
}

func produce(producer, each int, c chan<- uint64) {
	for number := producer * each; number < (producer+1)*each; number++ {
		c <- uint64(number)
	}
}

func select2() []figure {
	each := of(1_000_000 / 2)
	a, b := make(chan uint64), make(chan uint64)
	sum := uint64(0)
	start := time.Now()
	go produce(0, each, a)
	go produce(1, each, b)
	for range 2 * each {
		select {
		case number := <-a:
			sum += number
		case number := <-b:
			sum += number
		}
	}
	figures := nsPer(start, 2*each)
	check("the messages' sum", sum, sumBelow(2*each))
	return figures
}

func select8() []figure {
	each := of(1_000_000 / 8)
	var c [8]chan uint64
	for i := range c {
		c[i] = make(chan uint64, 1)
	}
	sum := uint64(0)
	start := time.Now()
	for i := range c {
		go produce(i, each, c[i])
	}
	for range 8 * each {
		select {
		case number := <-c[0]:
			sum += number
		case number := <-c[1]:
			sum += number
		case number := <-c[2]:
			sum += number
		case number := <-c[3]:
			sum += number
		case number := <-c[4]:
			sum += number
		case number := <-c[5]:
			sum += number
		case number := <-c[6]:
			sum += number
		case number := <-c[7]:
			sum += number
		}
	}
	figures := nsPer(start, 8*each)
	check("the messages' sum", sum, sumBelow(8*each))
	return figures
}
