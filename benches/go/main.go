// The workloads in Go: PROG WORKLOAD|list|all [-workers W] [-scale F] [-enough SECONDS].
//
// Prints NAME<TAB>METRIC<TAB>VALUE for each figure: the median of a few repeats after a warm-up. Exits with 1 if a result is wrong.
// What each workload does stands in the README beside this folder; its Rust form is in src/bin/compare/peer.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sort"
	"syscall"
	"time"
)

type figure struct {
	metric string
	value  float64
}

type workload struct {
	name    string
	run     func() []figure
	repeats int
	warmUp  bool
	workers int  // if not 0, whatever is asked for
	speedUp bool // tell the speed-up over one worker too
}

var scale = 1.0

// enough is how long a workload is repeated at most.
var enough time.Duration

// of is so many of what the workload has full of at scale 1.
func of(full int) int {
	return max(1, int(float64(full)*scale))
}

var workloads = []workload{
	{name: "yield", run: yields, repeats: 5, warmUp: true, workers: 1},
	{name: "pingpong", run: pingpong, repeats: 5, warmUp: true},
	{name: "unbuf", run: func() []figure { return pipe(1, 1, 0, 1_000_000) }, repeats: 5, warmUp: true},
	{name: "spsc", run: func() []figure { return pipe(1, 1, 128, 5_000_000) }, repeats: 5, warmUp: true},
	{name: "mpsc", run: func() []figure { return pipe(4, 1, 128, 4_000_000) }, repeats: 5, warmUp: true},
	{name: "mpmc", run: func() []figure { return pipe(4, 4, 128, 4_000_000) }, repeats: 5, warmUp: true},
	{name: "mpmc100", run: func() []figure { return pipe(100, 100, 10, 2_000_000) }, repeats: 5, warmUp: true},
	{name: "unbuf100", run: func() []figure { return pipe(100, 100, 0, 1_000_000) }, repeats: 5, warmUp: true},
	{name: "chan_uncontended", run: uncontended, repeats: 5, warmUp: true},
	{name: "try_empty", run: tryEmpty, repeats: 5, warmUp: true},
	{name: "select2", run: select2, repeats: 5, warmUp: true},
	{name: "select8", run: select8, repeats: 5, warmUp: true},
	{name: "spawn", run: spawn, repeats: 5, warmUp: true},
	{name: "spawn_join", run: spawnJoin, repeats: 5, warmUp: true},
	{name: "skynet", run: skynet, repeats: 5, warmUp: true},
	{name: "fib", run: fib, repeats: 5, warmUp: true},
	{name: "million", run: million, repeats: 1},
	{name: "mutex1", run: mutex1, repeats: 5, warmUp: true},
	{name: "mutex8", run: mutex8, repeats: 5, warmUp: true},
	{name: "rwread", run: rwRead, repeats: 5, warmUp: true},
	{name: "wg", run: waitGroup, repeats: 5, warmUp: true},
	{name: "sieve", run: sieve, repeats: 5, warmUp: true},
	{name: "timers", run: timers, repeats: 3},
	{name: "pipeline", run: pipeline, repeats: 3, warmUp: true, speedUp: true},
	{name: "pool", run: pool, repeats: 3, warmUp: true, speedUp: true},
	{name: "hog", run: hog, repeats: 1},
	{name: "blocking", run: blocking, repeats: 1},
	{name: "echo", run: echo, repeats: 5, warmUp: true},
}

func main() {
	if len(os.Args) < 2 {
		usage("which workload?")
	}
	name := os.Args[1]
	flags := flag.NewFlagSet("compare-go", flag.ExitOnError)
	workers := flags.Int("workers", 2, "how many OS threads run goroutines")
	flags.Float64Var(&scale, "scale", 1, "how much of the work")
	seconds := flags.Float64("enough", 1e6, "after so many seconds no further repeat begins")
	flags.Parse(os.Args[2:])
	enough = time.Duration(*seconds * 1e9)
	if flags.NArg() > 0 {
		usage(flags.Arg(0) + ": one workload at a time, options behind it")
	}
	if *workers < 1 || !(scale > 0) {
		usage("-workers wants 1 or more, -scale more than 0")
	}
	known := false
	for _, w := range workloads {
		switch name {
		case "list":
			fmt.Println(w.name)
			known = true
		case "all", w.name:
			w.measure(*workers)
			known = true
		}
	}
	if !known {
		usage("no workload " + name)
	}
}

func usage(message string) {
	fmt.Fprintln(os.Stderr, message+"\ncompare-go WORKLOAD|list|all [-workers W] [-scale F] [-enough SECONDS]")
	os.Exit(2)
}

func (w *workload) measure(workers int) {
	if w.workers != 0 {
		workers = w.workers
	}
	runtime.GOMAXPROCS(workers)
	if w.warmUp {
		full := scale
		scale /= 10
		w.run()
		scale = full
	}
	figures := w.medians()
	if w.speedUp && workers > 1 {
		runtime.GOMAXPROCS(1)
		figures = append(figures, figure{"x", w.medians()[0].value / figures[0].value})
		runtime.GOMAXPROCS(workers)
	}
	for _, f := range figures {
		fmt.Printf("%s\t%s\t%v\n", w.name, f.metric, f.value)
	}
}

func (w *workload) medians() []figure {
	var runs [][]figure
	for start := time.Now(); len(runs) == 0 || len(runs) < w.repeats && time.Since(start) < enough; {
		runs = append(runs, w.run())
	}
	medians := runs[0]
	for i := range medians {
		var values []float64
		for _, run := range runs {
			values = append(values, run[i].value)
		}
		sort.Float64s(values)
		medians[i].value = values[len(values)/2]
	}
	return medians
}

func nsPer(start time.Time, operations int) []figure {
	return []figure{{"ns/op", float64(time.Since(start).Nanoseconds()) / float64(operations)}}
}

func ms(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e6
}

// check ends the process if a result is not what it must be.
func check[T comparable](what string, result, expected T) {
	if result != expected {
		fmt.Fprintf(os.Stderr, "wrong result: %s is %v, not %v\n", what, result, expected)
		os.Exit(1)
	}
}

func sumBelow(end int) uint64 {
	return uint64(end) * uint64(end-1) / 2
}

// resident is the memory in use, in bytes.
func resident() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, pages int64
	fmt.Sscan(string(statm), &size, &pages)
	return pages * int64(os.Getpagesize())
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

