// The README keeps its word: its configurations load, its command lines are understood, its ten minutes can be walked.

package system_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// block is a fenced one of a document.
type block struct {
	line int // of its fence
	lang string
	text string
}

func blocks(t *testing.T, path string) (out []block) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var in *block
	for i, line := range strings.SplitAfter(string(text), "\n") {
		lang, fenced := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case fenced && in == nil:
			in = &block{line: i + 1, lang: lang}
		case fenced:
			out = append(out, *in)
			in = nil
		case in != nil:
			in.text += line
		}
	}
	if in != nil {
		t.Fatalf("%s:%d: the block does not end", path, in.line)
	}
	return out
}

// understands runs a command line of tidepool and wants it to succeed.
func understands(t *testing.T, where string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), tidepool, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: tidepool %s: %v\n%s", where, strings.Join(args, " "), err, out)
	}
}

func TestREADMEBlocks(t *testing.T) {
	lua, commands := 0, 0
	for _, b := range blocks(t, "../../README.md") {
		where := fmt.Sprintf("README.md:%d", b.line)
		switch b.lang {
		case "lua":
			lua++
			understands(t, where, "check", write(t, "readme.lua", b.text))
		case "sh":
			for _, line := range strings.Split(b.text, "\n") {
				if args, ok := strings.CutPrefix(strings.TrimSpace(line), "bin/tidepool "); ok {
					commands++
					understands(t, where, append(strings.Fields(args), "--help")...)
				}
			}
			if out, err := exec.CommandContext(t.Context(), "bash", "-n", "-c", b.text).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", where, err, out)
			}
		case "":
			t.Errorf("%s: the block does not say its language", where)
		}
	}
	if lua < 2 || commands < 5 {
		t.Errorf("%d Lua blocks and %d command lines: the test does not see what the README shows", lua, commands)
	}
}

// TestREADMECommands: every command that is named in the README is one.
func TestREADMECommands(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile("`tidepool ([a-z]+)").FindAllStringSubmatch(string(text), -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			understands(t, "README.md", m[1], "--help")
		}
	}
	if len(seen) < 6 {
		t.Errorf("only %v were found", seen)
	}
}

func TestExamplesCheck(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.lua")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		understands(t, f, "check", f)
	}
}

// TestREADMETenMinutes walks through the second step: a proxy and three leaves as separate processes, by the README's own
// command lines, at ports that are free here.
func TestREADMETenMinutes(t *testing.T) {
	peer.Need(t, "curl")
	ports := map[string]string{}
	for _, p := range []string{"11211", "9411", "4301", "4302", "4303"} {
		ports[p] = freePort(t)
	}
	here := func(s string) string {
		return regexp.MustCompile(`\b(11211|9411|430[123])\b`).ReplaceAllStringFunc(s, func(p string) string { return ports[p] })
	}
	example, err := os.ReadFile("../../examples/simple.lua")
	if err != nil {
		t.Fatal(err)
	}
	config := write(t, "simple.lua", here(string(example)))

	var p *proxy
	var leaves []*process
	var first string // step 1's commands, which go to the same ports
	for _, b := range blocks(t, "../../README.md") {
		if b.lang != "sh" {
			continue
		}
		if strings.Contains(b.text, "nc 127.0.0.1") {
			first += b.text
		}
		for _, line := range strings.Split(b.text, "\n") {
			args, ok := strings.CutPrefix(strings.TrimSpace(line), "bin/tidepool ")
			if !ok {
				continue
			}
			f := strings.Fields(here(strings.ReplaceAll(args, "examples/simple.lua", config)))
			switch f[0] {
			case "leaf":
				l := start(t, f...)
				l.logged(0, "leaf ready")
				leaves = append(leaves, l)
			case "check":
				understands(t, "README.md", f...)
			case "proxy":
				p = &proxy{process: start(t, append(f, "--listen", "127.0.0.1:"+ports["11211"], "--admin", "127.0.0.1:"+ports["9411"])...)}
				p.logged(0, "proxy serves")
				p.addr, p.admin = "127.0.0.1:"+ports["11211"], "127.0.0.1:"+ports["9411"]
			}
		}
	}
	if len(leaves) != 3 || p == nil {
		t.Fatalf("the README starts %d leaves, and a proxy: %v", len(leaves), p != nil)
	}
	p.ready()
	eventually(t, "every leaf is up", func() bool { return p.sum("tidepool_backend_up") == 3 })
	for _, line := range strings.Split(strings.TrimSpace(here(first)), "\n") {
		got := shell(t, line)
		switch {
		case strings.Contains(line, "nc "):
			if got != "STORED\r\nVALUE greeting 0 5\r\nhello\r\nEND\r\n" {
				t.Errorf("%s: %q", line, got)
			}
		case strings.Contains(line, "/config"):
			if !strings.Contains(got, `"generation": 1`) {
				t.Errorf("%s: %q", line, got)
			}
		case !strings.Contains(got, "tidepool_requests_total{"):
			t.Errorf("%s: %q", line, got)
		}
	}

	// "Kill a leaf: its keys answer SERVER_ERROR backend failure until it is back, the others' do not notice."
	c := dial(t, p.addr)
	ask := func() (failed, fine int) {
		for i := range 60 {
			switch got := c.hears(fmt.Sprintf("get key:%d", i)); got {
			case "SERVER_ERROR backend failure":
				failed++
			case "END":
				fine++
			default:
				t.Fatalf("key:%d: %q", i, got)
			}
		}
		return
	}
	if failed, _ := ask(); failed > 0 {
		t.Errorf("%d keys fail with every leaf up", failed)
	}
	leaves[1].Kill()
	eventually(t, "the proxy notices", func() bool { return p.sum("tidepool_backend_up") == 2 })
	failed, fine := ask()
	if failed == 0 || fine < 30 {
		t.Errorf("with a leaf killed %d keys fail and %d do not", failed, fine)
	}
	restart(t, "leaf-2", "127.0.0.1:"+ports["4302"])
	eventually(t, "the leaf is back", func() bool { return p.sum("tidepool_backend_up") == 3 })
	if failed, _ := ask(); failed > 0 {
		t.Errorf("%d keys fail with the leaf back", failed)
	}
	p.signal(syscall.SIGTERM)
	p.exit(0)
}
