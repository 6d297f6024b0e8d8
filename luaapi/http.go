// mcp.http: what answers gets by fetching.

package luaapi

import (
	"net/url"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// FetchSpec is what mcp.http describes.
type FetchSpec struct {
	Before, After string // of the key, in the URL
	Timeout       time.Duration
	Max           int // bytes of a value
	Connections   int // at once
}

func newHTTP(a *API, L *lua.LState) int {
	t := given(L, "http", "url", "timeout", "max", "connections")
	text := textField(L, "http", t, "url")
	before, after, _ := strings.Cut(text, "%k")
	u, err := url.Parse(before + "k" + after)
	switch {
	case text == "":
		L.RaiseError("mcp.http: url is missing")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		L.RaiseError("mcp.http: url: %q is no URL that begins with http:// or https://", text)
	case strings.Contains(after, "%k"):
		L.RaiseError("mcp.http: url: %q has %%k more than once", text)
	}
	if at := strings.Index(before, u.Host); at < 0 || before[at:] == u.Host {
		L.RaiseError("mcp.http: url: %q would have the key in the name of the host", text)
	}
	spec := FetchSpec{
		Before: before, After: after,
		Timeout:     duration(numberField(L, "http", t, "timeout", 0.001, 1)),
		Max:         int(numberField(L, "http", t, "max", 1, 1<<20)),
		Connections: int(numberField(L, "http", t, "connections", 1, 64)),
	}
	L.Push(a.pool(share[Target](a, L, "http", "", func() (any, error) { return a.o.Worker.OpenFetcher(spec) })))
	return 1
}
