// mcrouter's routes with fields of their own, and the root of its tree.

package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// poolRoute is PoolRoute|NAME or its object.
func (r *mcReader) poolRoute(v *jvalue, line int) (expr, error) {
	if v == nil {
		return expr{}, r.fail(&jvalue{line: line}, "PoolRoute: pool is missing")
	}
	pool := v
	if v.kind == jObject {
		if pool = v.get("pool"); pool == nil {
			return expr{}, r.fail(v, "PoolRoute: pool is missing")
		}
		r.left(v, "PoolRoute", "pool", "hash", "shadows")
	}
	p, err := r.pool(pool)
	if err != nil {
		return expr{}, err
	}
	if p.keep && r.prefixes {
		return r.unsupported(line, "keep_routing_prefix of pool %q", p.key), nil
	}
	if h := v.get("hash"); h != nil {
		unsupported, err := r.hash(p, "PoolRoute", h)
		if err != nil {
			return expr{}, err
		}
		if unsupported != "" {
			return r.unsupported(h.line, "hash function %s", unsupported), nil
		}
	}
	return r.shadowed(expr{luaIndex("pools", r.want(p)), true}, v, len(p.servers))
}

// shadowed adds the shadows of v, if it has any, to a route over n servers.
func (r *mcReader) shadowed(e expr, v *jvalue, n int) (expr, error) {
	list := v.get("shadows")
	if list == nil {
		return e, nil
	}
	var targets []string
	for _, s := range list.list {
		t := s.get("target")
		if t == nil {
			return expr{}, r.fail(s, "shadows: target is missing")
		}
		target, err := r.one(t, "shadows: target")
		if err != nil {
			return expr{}, err
		}
		switch {
		case !target.pool:
			r.note(s.line, "a shadow whose target is not a pool has no equivalent: left out")
		case s.get("keys_to_shadow") == nil && (s.get("key_fraction_range") == nil || s.get("index_range") == nil): // both begin as empty there
			r.note(s.line, "a shadow without index_range or key_fraction_range gets nothing from mcrouter: left out")
		case !wholeRange(s.get("key_fraction_range"), 0, 1) || !wholeRange(s.get("index_range"), 0, float64(n-1)) || s.get("keys_to_shadow") != nil || s.get("requests_fraction") != nil:
			r.note(s.line, "a shadow of a share of the keys or servers has no equivalent: left out")
		default:
			targets = append(targets, target.text)
		}
		r.left(s, "shadows", "target", "key_fraction_range", "index_range", "keys_to_shadow", "requests_fraction")
	}
	if len(targets) == 0 {
		return e, nil
	}
	return r.call("shadow", "child = "+e.text, "targets = "+table(targets)), nil
}

// wholeRange: v spans from least to most.
func wholeRange(v *jvalue, least, most float64) bool {
	if v == nil || v.kind != jArray || len(v.list) != 2 {
		return false
	}
	a, err1 := strconv.ParseFloat(v.list[0].text, 64)
	b, err2 := strconv.ParseFloat(v.list[1].text, 64)
	return err1 == nil && err2 == nil && a <= least && b >= most
}

// hashRoute spreads keys over children. Over the servers of pools that is a pool; over other routes there is nothing like it yet.
func (r *mcReader) hashRoute(v *jvalue, line int) (expr, error) {
	if v == nil {
		return expr{}, r.fail(&jvalue{line: line}, "HashRoute: children is missing")
	}
	over, how := v, (*jvalue)(nil)
	if v.kind == jObject {
		if over = v.get("children"); over == nil {
			return expr{}, r.fail(v, "HashRoute: children is missing")
		}
		r.left(v, "HashRoute", "children", "hash_func", "salt", "weights")
		how = v
	}
	p, err := r.serversOf(over)
	if err != nil {
		return expr{}, err
	}
	if p == nil {
		kids, err := r.list(over)
		if err == nil && len(kids) == 1 {
			return kids[0], nil
		}
		return r.unsupported(line, "HashRoute over routes"), err
	}
	if p.keep && r.prefixes {
		return r.unsupported(line, "keep_routing_prefix of pool %q", p.key), nil
	}
	p.dist = "ch3" // a HashRoute does not know of the pool's weights
	for i := range p.servers {
		p.servers[i].weight = ""
	}
	if how != nil {
		unsupported, err := r.hash(p, "HashRoute", how)
		if err != nil {
			return expr{}, err
		}
		if unsupported != "" {
			return r.unsupported(line, "hash function %s", unsupported), nil
		}
	}
	return expr{luaIndex("pools", r.want(p)), true}, nil
}

// poolOf is what names or holds the pool whose servers v stands for. nil: it stands for other routes.
func (r *mcReader) poolOf(v *jvalue) *jvalue {
	if v.kind == jString {
		kind, name, _ := strings.Cut(v.text, "|")
		switch h := r.handles[v.text]; {
		case h != nil:
			v = h
		case kind == "Pool":
			return &jvalue{kind: jString, line: v.line, text: name}
		}
	}
	if t := v.get("type"); t != nil && t.text == "Pool" {
		return v
	}
	return nil
}

// serversOf is one pool of the servers that over leads to: a pool's, or those of several pools, each of one server or under Pool. nil: it
// leads to other routes.
func (r *mcReader) serversOf(over *jvalue) (*mcPool, error) {
	if v := r.poolOf(over); v != nil {
		return r.pool(v)
	}
	if over.kind != jArray {
		return nil, nil
	}
	var all *mcPool
	for _, e := range over.list {
		kind, name, _ := strings.Cut(e.text, "|")
		v := r.poolOf(e)
		if v == nil {
			if e.kind != jString || r.handles[e.text] != nil || kind != "PoolRoute" {
				return nil, nil
			}
			v = &jvalue{kind: jString, line: e.line, text: name}
		} else {
			kind = "Pool"
		}
		p, err := r.pool(v)
		if err != nil {
			return nil, err
		}
		switch {
		case kind == "PoolRoute" && len(p.servers) != 1:
			return nil, nil
		case all == nil:
			all = p
			continue
		case p.timeout != all.timeout || p.connect != all.connect || p.keep != all.keep:
			return nil, nil
		}
		all.key += "+" + p.key
		all.servers = append(all.servers, p.servers...)
	}
	return all, nil
}

// mcOperations are mcrouter's operations and the commands that they are here. The meta commands, which mcrouter does not know, go
// with the text command of the same use.
var mcOperations = map[string][]string{
	"get": {"GET", "MG"}, "gets": {"GETS"}, "gat": {"GAT"}, "gats": {"GATS"}, "set": {"SET", "MS"}, "add": {"ADD"}, "replace": {"REPLACE"},
	"append": {"APPEND"}, "prepend": {"PREPEND"}, "cas": {"CAS"}, "incr": {"INCR", "MA"}, "decr": {"DECR"}, "delete": {"DELETE", "MD"},
	"touch": {"TOUCH"}, "metaget": nil, "lease-get": nil, "lease-set": nil, "flushall": nil, "flushre": nil, "exec": nil, "stats": nil,
	"version": nil, "quit": nil, "shutdown": nil, "goaway": nil,
}

func (r *mcReader) byCommand(v *jvalue, kind string, line int) (expr, error) {
	if v == nil || v.kind != jObject {
		if v == nil {
			return expr{}, r.fail(&jvalue{line: line}, "%s: want default_policy or operation_policies", kind)
		}
		return r.one(v, kind)
	}
	r.left(v, kind, "default_policy", "operation_policies")
	var all []string
	if d := v.get("default_policy"); d != nil {
		e, err := r.one(d, kind+": default_policy")
		if err != nil {
			return expr{}, err
		}
		all = append(all, "default = "+e.text)
	}
	var routes []string
	ops := v.get("operation_policies")
	if ops == nil && len(all) == 0 {
		return expr{}, r.fail(v, "%s: want default_policy or operation_policies", kind)
	}
	if ops != nil {
		if ops.kind != jObject {
			return expr{}, r.fail(ops, "%s: operation_policies: want an object, got %s", kind, ops.kind)
		}
		for i, k := range ops.keys {
			cmds, known := mcOperations[k.name]
			if !known {
				return expr{}, r.fail(&jvalue{line: k.line}, "%s: there is no operation %q", kind, k.name)
			}
			if cmds == nil {
				r.note(k.line, "%s: operation %q has no equivalent: left out", kind, k.name)
				continue
			}
			e, err := r.one(ops.list[i], kind+": "+k.name)
			if err != nil {
				return expr{}, err
			}
			for j, cmd := range cmds {
				if j > 0 && !e.pool && len(e.text) > 40 { // written out twice would be two routes
					e = r.share(e)
					routes[len(routes)-1] = fmt.Sprintf("[mcp.CMD_%s] = %s", cmds[j-1], e.text)
				}
				routes = append(routes, fmt.Sprintf("[mcp.CMD_%s] = %s", cmd, e.text))
			}
		}
	}
	return r.call("by_command", append(all, "routes = "+table(routes))...), nil
}

// share gives a route a variable of its own, unless it has one.
func (r *mcReader) share(e expr) expr {
	if identifier.MatchString(e.text) || strings.HasPrefix(e.text, "routes.") || strings.HasPrefix(e.text, "routes[") {
		return e
	}
	if len(r.locals) == 0 {
		r.locals = append(r.locals, "    local routes = {}\n")
	}
	at := ""
	for n := len(r.locals); ; n++ {
		at = fmt.Sprintf("routes[%d]", n)
		if !slices.ContainsFunc(r.locals, func(l string) bool { return strings.HasPrefix(l, "    "+at+" =") }) {
			break
		}
	}
	r.locals = append(r.locals, fmt.Sprintf("    %s = %s\n", at, e.indented("    ")))
	return expr{text: at}
}

func (r *mcReader) byPrefix(v *jvalue, line int) (expr, error) {
	const kind = "PrefixSelectorRoute"
	if v == nil || v.kind != jObject {
		return expr{}, r.fail(&jvalue{line: line}, "%s: want policies or wildcard", kind)
	}
	r.left(v, kind, "policies", "wildcard")
	type policy struct{ prefix, text string }
	var list []policy
	if p := v.get("policies"); p != nil {
		if p.kind != jObject {
			return expr{}, r.fail(p, "%s: policies: want an object, got %s", kind, p.kind)
		}
		for i, k := range p.keys {
			e, err := r.one(p.list[i], kind+": "+k.name)
			if err != nil {
				return expr{}, err
			}
			list = append(list, policy{k.name, fmt.Sprintf("{ %s, %s }", luaString(k.name), e.text)})
		}
	}
	slices.SortStableFunc(list, func(a, b policy) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	var policies []string
	for _, p := range list {
		policies = append(policies, p.text)
	}
	all := []string{"policies = " + table(policies)}
	if w := v.get("wildcard"); w != nil {
		e, err := r.one(w, kind+": wildcard")
		if err != nil {
			return expr{}, err
		}
		if len(list) == 0 {
			return e, nil
		}
		all = append(all, "wildcard = "+e.text)
	} else if len(list) == 0 {
		return expr{}, r.fail(v, "%s: want policies or wildcard", kind)
	}
	return r.call("by_prefix", all...), nil
}

func (r *mcReader) missFailover(v *jvalue, kind string) (expr, error) {
	kids, err := r.children(v, kind)
	if err != nil {
		return expr{}, err
	}
	r.left(v, kind, "children", "return_best_on_error")
	if len(kids) < 2 {
		return r.several("failover", kids), nil
	}
	all := []string{"children = " + table(texts(kids))}
	if v.kind == jObject {
		if b := v.get("return_best_on_error"); b != nil && b.truth {
			all = append(all, "return_best_on_error = true")
		}
	}
	return r.call("miss_failover", all...), nil
}

// number is the field of v that is a whole number, or otherwise.
func (r *mcReader) number(v *jvalue, name string, otherwise int) (int, error) {
	f := v.get(name)
	if f == nil {
		return otherwise, nil
	}
	n, err := strconv.Atoi(f.text)
	if f.kind != jNumber || err != nil || n < 0 {
		return 0, r.fail(f, "%s: want a whole number from 0 on, got %s %s", name, f.kind, f.text)
	}
	return n, nil
}

func (r *mcReader) failoverExptime(v *jvalue, kind string, line int) (expr, error) {
	if v == nil || v.kind != jObject || v.get("normal") == nil {
		return expr{}, r.fail(&jvalue{line: line}, "%s: normal is missing", kind)
	}
	r.left(v, kind, "normal", "failover", "failover_exptime")
	exptime := 60 // seconds, mcrouter's default
	if f := v.get("failover_exptime"); f != nil {
		n, err := strconv.ParseInt(f.text, 10, 32)
		if f.kind != jNumber || err != nil {
			return expr{}, r.fail(f, "failover_exptime: want a whole number, got %s %s", f.kind, f.text)
		}
		exptime = int(n)
	}
	normal, err := r.one(v.get("normal"), kind+": normal")
	if err != nil || v.get("failover") == nil {
		return normal, err
	}
	spares, err := r.list(v.get("failover"))
	if err != nil || len(spares) == 0 {
		return normal, err
	}
	if exptime <= 0 { // mcrouter's way to say that times stay as they are
		return r.several("failover", append([]expr{normal}, spares...)), nil
	}
	return r.call("failover_exptime", "normal = "+normal.text, "failover = "+table(texts(spares)), fmt.Sprintf("exptime = %d", exptime)), nil
}

func (r *mcReader) warmUp(v *jvalue, kind string, line int) (expr, error) {
	if v == nil || v.kind != jObject || v.get("cold") == nil || v.get("warm") == nil {
		return expr{}, r.fail(&jvalue{line: line}, "%s: want cold and warm", kind)
	}
	r.left(v, kind, "cold", "warm", "exptime")
	exptime, err := r.number(v, "exptime", 0)
	if err != nil {
		return expr{}, err
	}
	cold, err := r.one(v.get("cold"), kind+": cold")
	if err != nil {
		return expr{}, err
	}
	warm, err := r.one(v.get("warm"), kind+": warm")
	return r.call("warm_up", "cold = "+cold.text, "warm = "+warm.text, fmt.Sprintf("exptime = %d", exptime)), err
}
