// Many files: several at once, told of one after the other.

package routetest

import (
	"io"
	"sync"
)

// RunAll runs files, so many at once, each as one Runner would. Options.Print and Options.Done are called in the order of the files, by the
// calling goroutine, and of one file when it is done.
func RunAll(paths []string, o Options, parallel int) (all []Result, covered []Covered) {
	runs := make([]fileRun, len(paths))
	for i := range runs {
		runs[i].done = make(chan struct{})
	}
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range paths {
			next <- i
		}
	}()
	var workers sync.WaitGroup
	covers := make([]*coverage, max(1, min(parallel, len(paths))))
	for w := range covers {
		workers.Go(func() {
			var run *fileRun
			mine := o
			mine.Done = func(res Result) { run.add(func() { o.done(res) }) }
			if o.Print != nil {
				mine.Print = writer(func(text string) { run.add(func() { io.WriteString(o.Print, text) }) })
			}
			r := New(mine)
			defer r.Close()
			for i := range next {
				run = &runs[i]
				run.results = r.Run(paths[i])
				close(run.done)
			}
			covers[w] = r.cover
		})
	}
	for i := range runs {
		<-runs[i].done
		for _, tell := range runs[i].told {
			tell()
		}
		all = append(all, runs[i].results...)
	}
	workers.Wait()
	return all, report(covers...)
}

// fileRun is what comes of a file.
type fileRun struct {
	told    []func() // what is to be told of it, in order
	results []Result
	done    chan struct{}
}

func (f *fileRun) add(tell func()) { f.told = append(f.told, tell) }

func (o *Options) done(res Result) {
	if o.Done != nil {
		o.Done(res)
	}
}

// writer makes an io.Writer of a function.
type writer func(text string)

func (w writer) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}
