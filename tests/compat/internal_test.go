// The proxy's own store behind routes: mcp.internal, mcp.internal_handler, and the latter behind a sub-call.

package compat

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const internalConfig = `
function mcp_config_pools() return true end

function mcp_config_routes()
    local sub = mcp.funcgen_new()
    local inner = sub:new_handle(mcp.internal_handler)
    sub:ready{ n = "sub", f = function(rctx) return function(r) return rctx:enqueue_and_wait(r, inner) end end }

    local g = mcp.funcgen_new()
    local own, behind = g:new_handle(mcp.internal_handler), g:new_handle(sub)
    g:ready{ n = "internal", f = function(rctx)
        return function(r)
            local way = string.sub(r:key(), 1, 2)
            if way == "p/" then
                return mcp.internal(r)
            elseif way == "s/" then
                return rctx:enqueue_and_wait(r, behind)
            elseif way == "l/" then
                local res = rctx:enqueue_and_wait(r, own)
                return string.format("SERVER_ERROR %s %s %s %d %s\r\n", res:ok(), res:hit(), res:code(), res:vlen(), res:line())
            end
            return rctx:enqueue_and_wait(r, own)
        end
    end }
    mcp.attach(mcp.CMD_ANY_STORAGE, g)
end
`

// metaFlags are what follows a key in meta commands, K being the command's.
var metaFlags = map[string][]string{
	"mg": {"v", "t", "f", "s", "k", "q", "c", "O7", "N30", "T90", "h", "b", "E900005", "R40"},
	"ms": {"k", "q", "O7", "T90", "F3", "MA", "MP", "ME", "MR", "MS", "C900005", "E900009", "c", "b", "s", "N60"},
	"md": {"k", "q", "O7", "C900009", "I", "T30", "x", "E900009"},
	"ma": {"k", "q", "O7", "N0", "N30", "J5", "D2", "MD", "MI", "T60", "v", "t", "c", "C900009"}, // E: see numberKey
}

// storeForms are forms but for what memcached's proxy cannot say to its store: replace is a bad command line there, and me not answered.
var storeForms = slices.DeleteFunc(slices.Clone(forms), func(f string) bool {
	return strings.HasPrefix(f, "replace") || strings.HasPrefix(f, "me ")
})

// internalRequest is a request by chance. The keys are few, so that they meet. Those of numbers are apart, see numberKey.
func internalRequest(rnd *rand.Rand) string {
	way := []string{"h/", "p/", "s/", "l/"}[rnd.IntN(4)]
	key := way + string("abcden"[rnd.IntN(6)])
	value := []string{"x", "12", "", "hello world", "7"}[rnd.IntN(5)]
	if rnd.IntN(2) == 0 {
		f := strings.Replace(storeForms[rnd.IntN(len(storeForms))], " 1 9\r\n", " 1 900009\r\n", 1)
		if counting.MatchString(f) {
			key = way + "n"
		}
		if strings.Contains(f, "noreply") { // whose code is no code there
			key = strings.Replace(key, "l/", "h/", 1)
		}
		return strings.ReplaceAll(f, "K", key)
	}
	cmd := []string{"mg", "ms", "md", "ma"}[rnd.IntN(4)]
	if cmd == "ma" {
		key = way + "n"
	}
	req := cmd + " " + key
	if cmd == "ms" {
		req += fmt.Sprintf(" %d", len(value))
	}
	for _, i := range rnd.Perm(len(metaFlags[cmd]))[:rnd.IntN(min(4, len(metaFlags[cmd])))] {
		req += " " + metaFlags[cmd][i]
	}
	if req += "\r\n"; cmd == "ms" {
		req += value + "\r\n"
	}
	return req
}

func TestInternalAsMemcached(t *testing.T) {
	peer, ours := os.Getenv("PEER_MEMCACHED"), os.Getenv("TIDEPOOL")
	if peer == "" || ours == "" {
		t.Skip("SKIPPED: PEER_MEMCACHED (a memcached with its proxy) and TIDEPOOL (bin/tidepool) are not both set")
	}
	s := seed(t)
	rnd := rand.New(rand.NewPCG(s, 5))
	p := plan{config: filepath.Join(t.TempDir(), "internal.lua"), same: sameStore}
	if err := os.WriteFile(p.config, []byte(internalConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 4000 {
		req := internalRequest(rnd)
		for range rnd.IntN(3) * rnd.IntN(2) {
			req += internalRequest(rnd)
		}
		p.talk = append(p.talk, req)
	}
	p.compare(t, peer, ours)
}

// sameStore makes equal what is a store's own: sizes and classes, and how it counts changes.
func sameStore(req, mine, theirs string) (string, string) {
	f := func(s string) string {
		s = sizes.ReplaceAllString(s, " cls=1 size=64")
		if numberKey.MatchString(req) {
			s = marks.ReplaceAllString(numbers.ReplaceAllString(s, "$1"), "")
		}
		s = counts.ReplaceAllString(s, "${1}1$3")
		return changes.ReplaceAllString(s, "${1}1")
	}
	mine, theirs = known(req, mine, theirs)
	theirs = keyLine.ReplaceAllString(theirs, "${1}nil\r\n")
	return f(mine), f(theirs)
}

var (
	keyLine = regexp.MustCompile(`(SERVER_ERROR true true 15 \d+ )l/\S+\r\n`) // line() of a text hit is its key there

	// What incr, decr and ma make of an item depends in memcached on who else has it at that moment: it is changed in place, with blanks behind a number
	// that has become shorter, or replaced by one that nobody has read, has won or has marked stale, and without the TTL or CAS that ma gives.
	numberKey = regexp.MustCompile(` [hpsl]/n\b`)
	counting  = regexp.MustCompile(`^(incr|decr|ma) `)
	marks     = regexp.MustCompile(` (h\d|t-?\d+|[WZX]|nil)\b`)
	numbers   = regexp.MustCompile(`(SERVER_ERROR true true 15 )\d+|(?:VA |VALUE \S+ \d+ )\d+( \d+)?|(?:\d+ +)(?:\r)`)

	sizes   = regexp.MustCompile(` cls=\d+ size=\d+`)
	changes = regexp.MustCompile(`( c| cas=)(\d{1,5}|\d{7,})\b`) // but not those that a request gives, which have six digits
	counts  = regexp.MustCompile(`(VALUE \S+ \d+ \d+ )(\d{1,5}|\d{7,})(\r)`)
)
