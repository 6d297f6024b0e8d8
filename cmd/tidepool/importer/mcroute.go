// mcrouter's routes as Lua expressions.

package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// expr is a Lua expression that is a route. Its lines after the first are indented from where it begins.
type expr struct {
	text string
	pool bool // it is a pool itself, which can be sent to without being waited for
}

func (e expr) indented(by string) string { return strings.ReplaceAll(e.text, "\n", "\n"+by) }

// broad is the length from which a table is written over several lines.
const broad = 100

// table writes a table constructor.
func table(entries []string) string {
	if len(entries) == 0 {
		return "{}"
	}
	one := "{ " + strings.Join(entries, ", ") + " }"
	if len(one) <= broad && !strings.Contains(one, "\n") {
		return one
	}
	var b strings.Builder
	b.WriteString("{\n")
	for _, e := range entries {
		b.WriteString("    " + strings.ReplaceAll(e, "\n", "\n    ") + ",\n")
	}
	b.WriteString("}")
	return b.String()
}

func texts(list []expr) (out []string) {
	for _, e := range list {
		out = append(out, e.text)
	}
	return out
}

// call is a helper over a table.
func (r *mcReader) call(helper string, entries ...string) expr {
	return expr{text: r.use(helper) + table(entries)}
}

// unsupported is a route that answers an error, and a note that says why.
func (r *mcReader) unsupported(line int, format string, args ...any) expr {
	what := fmt.Sprintf(format, args...)
	r.note(line, "%s has no equivalent: what comes here is answered with an error", what)
	return expr{text: r.use("fails") + "(" + luaString("import: "+what+" has no equivalent") + ")"}
}

// left notes the fields of a route that are left out.
func (r *mcReader) left(v *jvalue, kind string, known ...string) {
	if v == nil || v.kind != jObject {
		return
	}
	for _, k := range v.keys {
		if k.name != "type" && k.name != "name" && !slices.Contains(known, k.name) {
			r.note(k.line, "%s: %q has no equivalent: left out", kind, k.name)
		}
	}
}

// one is a value that stands for one route.
func (r *mcReader) one(v *jvalue, what string) (expr, error) {
	list, err := r.list(v)
	if err != nil {
		return expr{}, err
	}
	if len(list) != 1 {
		return expr{}, r.fail(v, "%s: want one route, got %d", what, len(list))
	}
	return list[0], nil
}

// list is a value that stands for any number of routes.
func (r *mcReader) list(v *jvalue) ([]expr, error) {
	switch v.kind {
	case jArray:
		var all []expr
		for _, e := range v.list {
			part, err := r.list(e)
			if err != nil {
				return nil, err
			}
			all = append(all, part...)
		}
		return all, nil
	case jObject:
		t := v.get("type")
		if t == nil || t.kind != jString {
			return nil, r.fail(v, "a route: want an object with a type")
		}
		if name := v.get("name"); name != nil && name.kind == jString && r.handles[name.text] != nil {
			if first := r.handles[name.text]; first != v && len(v.keys) > 2 { // more than its type and name
				r.note(v.line, "route %q: there is another of this name, on line %d: like mcrouter, that is the one that is used", name.text, first.line)
			}
			return r.named(name.text, v)
		}
		if t.text == "Pool" {
			return r.servers(v)
		}
		e, err := r.node(t.text, v, v.line)
		return []expr{e}, err
	case jString:
		if v.text == "" {
			return nil, nil
		}
		if r.handles[v.text] != nil {
			return r.named(v.text, v)
		}
		kind, rest, short := strings.Cut(v.text, "|")
		var arg *jvalue
		if short {
			arg = &jvalue{kind: jString, line: v.line, text: rest}
		}
		if kind == "Pool" && short {
			return r.servers(arg)
		}
		e, err := r.node(kind, arg, v.line)
		return []expr{e}, err
	}
	return nil, r.fail(v, "a route: want an object, an array or a string, got %s", v.kind)
}

// named are the routes that a name stands for, mostly one: they are made once.
func (r *mcReader) named(name string, at *jvalue) ([]expr, error) {
	if list, ok := r.made[name]; ok {
		return list, nil
	}
	if r.making[name] {
		return nil, r.fail(at, "route %q leads back to itself", name)
	}
	r.making[name] = true
	defer delete(r.making, name)
	h := r.handles[name]
	var list []expr
	var err error
	switch t := h.get("type"); {
	case t == nil:
		list, err = r.list(h)
	case t.text == "Pool":
		list, err = r.servers(h)
	default:
		list = make([]expr, 1)
		list[0], err = r.node(t.text, h, h.line)
	}
	if err != nil {
		return nil, err
	}
	for i, e := range list {
		if e.pool {
			continue
		}
		if len(r.locals) == 0 {
			r.locals = append(r.locals, "    local routes = {}\n")
		}
		at := luaIndex("routes", name)
		if len(list) > 1 {
			at = luaIndex("routes", fmt.Sprintf("%s/%d", name, i+1))
		}
		r.locals = append(r.locals, fmt.Sprintf("    %s = %s\n", at, e.indented("    ")))
		list[i] = expr{text: at}
	}
	r.made[name] = list
	return list, nil
}

// servers are a pool's servers, each a route of its own.
func (r *mcReader) servers(v *jvalue) ([]expr, error) {
	p, err := r.pool(v)
	if err != nil {
		return nil, err
	}
	if p.keep && r.prefixes {
		return []expr{r.unsupported(v.line, "keep_routing_prefix of pool %q", p.key)}, nil
	}
	var all []expr
	for i, s := range p.servers {
		s.weight = ""
		one := &mcPool{key: fmt.Sprintf("%s/%d", p.key, i+1), servers: []mcServer{s}, dist: "ch3", timeout: p.timeout, connect: p.connect}
		all = append(all, expr{luaIndex("pools", r.want(one)), true})
	}
	return all, nil
}

// children are a route's children: the value itself in the short form.
func (r *mcReader) children(v *jvalue, kind string) ([]expr, error) {
	if v == nil {
		return nil, nil
	}
	if v.kind == jObject {
		c := v.get("children")
		if c == nil {
			return nil, r.fail(v, "%s: children is missing", kind)
		}
		v = c
	}
	return r.list(v)
}

// node makes the route of a type. v is its object, what followed it in the short form, or nil.
func (r *mcReader) node(kind string, v *jvalue, line int) (expr, error) {
	if helper, ok := map[string]string{
		"AllSyncRoute": "all_sync", "AllAsyncRoute": "all_async", "AllFastestRoute": "all_fastest", "AllInitialRoute": "all_initial",
		"AllMajorityRoute": "all_majority", "FailoverRoute": "failover", "RandomRoute": "random_child",
	}[kind]; ok {
		kids, err := r.children(v, kind)
		if err != nil {
			return expr{}, err
		}
		r.left(v, kind, "children")
		return r.several(helper, kids), nil
	}
	switch kind {
	case "PoolRoute":
		return r.poolRoute(v, line)
	case "HashRoute":
		return r.hashRoute(v, line)
	case "NullRoute", "DevNullRoute":
		return expr{text: r.use("neutral")}, nil
	case "ErrorRoute":
		return r.errorRoute(v), nil
	case "OperationSelectorRoute", "PrefixPolicyRoute":
		return r.byCommand(v, kind, line)
	case "PrefixSelectorRoute":
		return r.byPrefix(v, line)
	case "MissFailoverRoute":
		return r.missFailover(v, kind)
	case "FailoverWithExptimeRoute":
		return r.failoverExptime(v, kind, line)
	case "WarmUpRoute":
		return r.warmUp(v, kind, line)
	case "ShadowRoute":
		kids, err := r.children(v, kind)
		if err != nil {
			return expr{}, err
		}
		if len(kids) != 1 {
			return r.unsupported(line, "ShadowRoute over %d children", len(kids)), nil
		}
		r.left(v, kind, "children", "shadows")
		return r.shadowed(kids[0], v, 1)
	case "LoggingRoute":
		r.left(v, kind, "child", "target", "children")
		if v != nil && v.kind == jObject {
			if v = cmpNode(v.get("target"), v.get("child")); v == nil {
				return r.unsupported(line, "LoggingRoute without target"), nil
			}
		}
		if v == nil {
			return r.unsupported(line, "LoggingRoute without target"), nil
		}
		e, err := r.one(v, kind)
		return expr{text: r.use("logged") + "(" + e.text + ")"}, err
	}
	if !strings.HasSuffix(kind, "Route") {
		return expr{}, r.fail(&jvalue{line: line}, "there is no route and no named handle %q", kind)
	}
	return r.unsupported(line, "%s", kind), nil
}

// cmpNode is the first that is there.
func cmpNode(list ...*jvalue) *jvalue { return cmp.Or(list...) }

// several is a helper over children; one child needs none, and none is the NullRoute, as mcrouter has it.
func (r *mcReader) several(helper string, kids []expr) expr {
	switch {
	case len(kids) == 0:
		return expr{text: r.use("neutral")}
	case len(kids) == 1 && helper != "all_async":
		return kids[0]
	}
	return r.call(helper, texts(kids)...)
}

// errorRoute is ErrorRoute, ErrorRoute|message or its object.
func (r *mcReader) errorRoute(v *jvalue) expr {
	message := "ErrorRoute"
	if v != nil && v.kind == jObject {
		r.left(v, "ErrorRoute", "response")
		v = v.get("response")
	}
	if v != nil && v.text != "" {
		message = comment(v.text)
	}
	return expr{text: r.use("fails") + "(" + luaString(message) + ")"}
}
