// The list of those known to live, and the report.

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// readAlive reads the list: a line is
//
//	FILE | LINE OF IT | CHANGE | REASON
//
// as the report has it, with the reason; the change * is any of the line. Empty lines and those that begin with # are passed. Given are the reasons, by what stands before.
func readAlive(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the list of the living: %w", err)
	}
	defer f.Close()
	known := map[string]string{}
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.SplitN(line, " | ", 4)
		if len(parts) != 4 || parts[3] == "" {
			return nil, fmt.Errorf("%s:%d: want FILE | LINE | CHANGE | REASON, got %q", path, n, line)
		}
		key := strings.Join(parts[:3], " | ")
		if known[key] != "" {
			return nil, fmt.Errorf("%s:%d: %q is there twice", path, n, key)
		}
		known[key] = parts[3]
	}
	return known, in.Err()
}

// report tells what came of the mutants, and gives why the run failed.
func report(s *settings, modules []*module, known map[string]string, took time.Duration) error {
	lives := map[string]bool{} // by key
	here := map[string]bool{}  // modules that were run
	mutants, alive, unknown, untested := 0, 0, 0, 0
	for _, m := range modules {
		here[m.name] = true
		living := 0
		for i := range m.mutants {
			x := &m.mutants[i]
			if s.verbose && !x.alive {
				fmt.Fprintf(s.out, "killed  %s (%s)\n", x.long(), x.why)
			}
			if !x.alive {
				continue
			}
			living++
			lives[x.key()], lives[x.line()] = true, true
			if known[x.key()] == "" && known[x.line()] == "" {
				unknown++
				fmt.Fprintf(s.out, "ALIVE   %s (%s)\n", x.long(), x.why)
			}
		}
		if m.tests == 0 && len(m.mutants) > 0 {
			untested++
			fmt.Fprintf(s.out, "NO TEST %s.lua: %d mutants\n", m.name, len(m.mutants))
		}
		mutants, alive = mutants+len(m.mutants), alive+living
		tell(s, m.name+".lua", len(m.mutants), living)
	}
	tell(s, "all", mutants, alive)
	fmt.Fprintf(s.out, "%.0f s\n", took.Seconds())
	var errs []error
	fail := func(n int, format string) {
		if n > 0 {
			errs = append(errs, fmt.Errorf(format, n))
		}
	}
	stale := 0
	for key := range known {
		if name, _, _ := strings.Cut(key, " | "); here[name] && !lives[key] {
			stale++
			fmt.Fprintf(s.out, "KILLED  %s: is listed as alive\n", key)
		}
	}
	fail(untested, "%d files have no tests")
	fail(unknown, "%d mutants live that "+s.alive+" does not list")
	fail(stale, "%d that it lists do not live")
	if share := percent(alive, mutants); share > s.most {
		errs = append(errs, fmt.Errorf("%.1f %% live, more than %g %%", share, s.most))
	}
	return errors.Join(errs...)
}

func tell(s *settings, name string, mutants, alive int) {
	fmt.Fprintf(s.out, "%-16s %5d mutants, %5d killed, %4d alive: %4.1f %%\n", name, mutants, mutants-alive, alive, percent(alive, mutants))
}

func percent(part, all int) float64 {
	if all == 0 {
		return 0
	}
	return 100 * float64(part) / float64(all)
}
