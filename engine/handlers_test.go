// The handlers of the library as they declare themselves: their reference page, JSON schema and editor definitions are made from that
// (go test ./engine -run Handlers -update), and the example of each loads.

package engine

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/routes"
)

var update = flag.Bool("update", false, "write what is made from the handlers")

// handlerDoc is what routes/NAME.lua gives handler.define.
type handlerDoc struct {
	Name    string     `json:"name"`
	Doc     string     `json:"doc"`
	Example string     `json:"example"`
	Fields  []fieldDoc `json:"fields"`
}

type fieldDoc struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Required bool     `json:"required"`
	Default  any      `json:"default"`
	Min      *float64 `json:"min"`
	Above    *float64 `json:"above"`
	Max      *float64 `json:"max"`
	Values   []string `json:"values"`
	Map      any      `json:"map"` // true: a list or a table by name; "only": by name
	Doc      string   `json:"doc"`
}

// tell is a script that gives a handler's declaration as JSON, or "" for a module that is none.
const tell = `
local function text(v)
    local t = type(v)
    if t == "string" then
        return "\"" .. string.gsub(string.gsub(v, "[\\\"]", "\\%0"), "%c", function(c) return string.format("\\u%04x", string.byte(c)) end) .. "\""
    elseif t == "number" or t == "boolean" then
        return tostring(v)
    end
    local out = {}
    for i, x in ipairs(v) do
        out[i] = text(x)
    end
    return "[" .. table.concat(out, ",") .. "]"
end
local function object(t, keys)
    local out = {}
    for _, k in ipairs(keys) do
        if t[k] ~= nil then
            out[#out + 1] = text(k) .. ":" .. text(t[k])
        end
    end
    return "{" .. table.concat(out, ",")
end
return function(name)
    local h = require("routes." .. name)
    if type(h) ~= "table" or not h.make then
        return ""
    end
    local fields = {}
    for i, d in ipairs(h.fields) do
        fields[i] = object({ name = d[1], type = d[2], required = d.required, default = d.default, min = d.min, above = d.above, max = d.max,
            values = d.values, map = d.map, doc = d.doc }, { "name", "type", "required", "default", "min", "above", "max", "values", "map", "doc" }) .. "}"
    end
    return object(h, { "name", "doc", "example" }) .. ",\"fields\":[" .. table.concat(fields, ",") .. "]}"
end`

// handlers are all there are, by name.
func handlers(t *testing.T) []handlerDoc {
	t.Helper()
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	p, err := newProxy(Options{Local: local}, true)
	if err != nil {
		t.Fatal(err)
	}
	defer p.registry.Close()
	defer p.loader.close()
	st := p.loader.state
	st.Lock()
	defer st.Unlock()
	proto, err := vm.Compile([]byte(tell), "tell")
	if err != nil {
		t.Fatal(err)
	}
	f, err := st.CallProto(proto)
	if err != nil {
		t.Fatal(err)
	}
	files, err := routes.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var all []handlerDoc
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".lua")
		v, err := st.Call(f, vm.String(name))
		if err != nil {
			t.Fatalf("routes/%s.lua: %v", name, err)
		}
		if v.String() == "" {
			continue
		}
		var h handlerDoc
		if err := json.Unmarshal([]byte(v.String()), &h); err != nil {
			t.Fatalf("routes/%s.lua: %v in %s", name, err, v)
		}
		if h.Name != name {
			t.Errorf("routes/%s.lua calls itself %q", name, h.Name)
		}
		all = append(all, h)
	}
	return all
}

// Every handler is documented.
func TestHandlersAreDocumented(t *testing.T) {
	for _, h := range handlers(t) {
		if !strings.HasSuffix(h.Doc, ".") {
			t.Errorf("routes/%s.lua: doc is no sentence: %q", h.Name, h.Doc)
		}
		for _, f := range h.Fields {
			if f.Doc == "" || strings.HasSuffix(f.Doc, ".") {
				t.Errorf("routes/%s.lua: field %s: doc is missing, or ends in a full stop: %q", h.Name, f.Name, f.Doc)
			}
		}
	}
}

// Every handler has its word, and nothing else of the library has one.
func TestHandlersHaveWords(t *testing.T) {
	is := map[string]bool{}
	for _, h := range handlers(t) {
		is[h.Name] = true
	}
	files, err := routes.Files.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names, words []string
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".lua")
		names = append(names, fmt.Sprintf("%q", name))
		if is[name] {
			words = append(words, name)
		}
	}
	c := dial(t, startProxy(t, writeConfig(t, `
local there = {}
for _, name in ipairs{ `+strings.Join(names, ", ")+` } do
    if _G["route_" .. name] then there[#there + 1] = name end
end
function mcp_config_pools() end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function() return table.concat(there, " ") .. "\r\n" end) end`)))
	c.says("get a\r\n")
	c.sees(strings.Join(words, " ") + "\r\n")
}

// The example of each handler loads, as the default route of a configuration with the pools a, b and c and the sets set_z (by zone) and set_all.
func TestHandlersExamplesLoad(t *testing.T) {
	local, err := leaf.NewLocal(leaf.Options{Memory: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, h := range handlers(t) {
		t.Run(h.Name, func(t *testing.T) {
			if !strings.Contains(h.Example, "route_"+h.Name) {
				t.Errorf("the example does not show it: %q", h.Example)
			}
			config := `local_zone("z1")
pools{
    a = { backends = { "127.0.0.1:1" } }, b = { backends = { "127.0.0.1:2" } }, c = { backends = { "127.0.0.1:3" } },
    set_z = { z1 = { backends = { "127.0.0.1:4" } }, z2 = { backends = { "127.0.0.1:5" } } },
    set_all = { { backends = { "127.0.0.1:6" } }, { backends = { "127.0.0.1:7" } } },
}
routes{ default = ` + h.Example + ` }`
			if err := Check(Options{Files: []string{writeConfig(t, config)}, Local: local}); err != nil {
				t.Errorf("%v\n%s", err, h.Example)
			}
		})
	}
}

// What is made from the handlers is current.
func TestHandlersPages(t *testing.T) {
	all := handlers(t)
	const page = "../docs/routes.md"
	const begin = "<!-- made from routes/*.lua by go test ./engine -run Handlers -update -->\n"
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	prose, _, ok := strings.Cut(string(src), begin)
	if !ok {
		t.Fatalf("%s has no line %q", page, begin)
	}
	for path, want := range map[string]string{
		page:                         prose + begin + "\n" + handlersPage(all),
		"../scripts/meta/routes.lua": handlersMeta(all),
		"../scripts/meta/wraps.lua":  wrapsMeta(all),
		"../docs/routes.schema.json": handlersSchema(t, all),
	} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got, err := os.ReadFile(path); string(got) != want {
			t.Errorf("%s is stale (%v): go test ./engine -run Handlers -update", path, err)
		}
	}
}

// handlersPage is the reference in Markdown.
func handlersPage(all []handlerDoc) string {
	var b strings.Builder
	esc := strings.NewReplacer("|", "\\|", "\n", " ")
	for _, h := range all {
		fmt.Fprintf(&b, "### route_%s\n\n%s\n\n```lua\n%s\n```\n\n", h.Name, h.Doc, strings.TrimSpace(h.Example))
		if len(h.Fields) == 0 {
			b.WriteString("It has no fields.\n\n")
			continue
		}
		b.WriteString("| field | is | default | |\n|---|---|---|---|\n")
		for _, f := range h.Fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, esc.Replace(f.kind()), f.start(), esc.Replace(f.Doc))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// kind words what a field must be.
func (f fieldDoc) kind() string {
	s := map[string]string{"child": "a pool or route", "children": "pools or routes", "integer": "whole number", "any": "anything"}[f.Type]
	switch {
	case f.Type == "enum":
		s = `"` + strings.Join(f.Values, `", "`) + `"`
	case s == "":
		s = f.Type
	}
	switch f.Map {
	case true:
		s += ", in a list or by name"
	case "only":
		s += ", by name"
	}
	number := func(v *float64) string { return strings.TrimSuffix(fmt.Sprintf("%v", *v), ".0") }
	if f.Above != nil {
		s += ", more than " + number(f.Above)
	}
	switch {
	case f.Min != nil && f.Max != nil:
		s += ", " + number(f.Min) + " to " + number(f.Max)
	case f.Min != nil:
		s += ", " + number(f.Min) + " or more"
	case f.Max != nil:
		s += ", " + number(f.Max) + " or less"
	}
	return s
}

// start words what it is if it is not given.
func (f fieldDoc) start() string {
	switch v := f.Default.(type) {
	case nil:
		if f.Required {
			return "required"
		}
		return ""
	case string:
		return fmt.Sprintf("`%q`", v)
	default:
		return fmt.Sprintf("`%v`", v)
	}
}
