// Where and with what it was measured.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// machine names the machine and the programs.
func machine(ctx context.Context, s *settings, b *bench) string {
	lines := []string{
		fmt.Sprintf("%s, %d processors, %s %s, %s, %s", cpuModel(), runtime.NumCPU(), runtime.GOOS, kernel(), runtime.Version(), time.Now().Format(time.DateOnly)),
		version(ctx, s.tidepool, "version"),
	}
	if b.memcached != "" {
		lines = append(lines, version(ctx, b.memcached, "-V")+" (backends)")
	}
	if s.peer != "" {
		how := "routes in its own API"
		if b.routelib != "" {
			how = "routes of routelib"
		}
		lines = append(lines, fmt.Sprintf("%s (proxy, %s)", version(ctx, s.peer, "-V"), how))
	}
	if b.nut != "" {
		lines = append(lines, strings.TrimPrefix(version(ctx, b.nut, "-V"), "This is "))
	}
	return strings.Join(lines, "\n")
}

// terms says how it is measured.
func terms(s *settings) string {
	return fmt.Sprintf("Load, proxies and backends share the processors. 10 %% sets, every answer checked; %d rounds, %v a turn, seed %d.\n", s.rounds, s.duration, s.seed)
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				return strings.TrimSpace(v)
			}
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// version is the first line that a program says of itself.
func version(ctx context.Context, path string, arg string) string {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, arg).CombinedOutput()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if line == "" {
		return fmt.Sprintf("%s of unknown version: %v", path, err)
	}
	return line
}
