package engine

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// A proxy that does not start leaves no loop behind.
func TestFailedStartEndsTheLoop(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for range 20 {
		if _, err := Start(Options{Files: []string{"/nonexistent"}, Listen: []string{"127.0.0.1:0"}, Local: local}); err == nil {
			t.Fatal("it starts")
		}
	}
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n := 0
		fds, _ := filepath.Glob("/proc/self/fd/*")
		for _, fd := range fds {
			if to, _ := os.Readlink(fd); to == "anon_inode:[eventfd]" {
				n++
			}
		}
		if n < 10 { // Go has one of its own
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d eventfds are left", n)
		}
	}
}
