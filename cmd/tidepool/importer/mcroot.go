// The root of mcrouter's tree: one route, or several by routing prefix.

package importer

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// mcDefaultPrefix is --route-prefix if nobody says otherwise.
const mcDefaultPrefix = "/././"

var routingPrefix = regexp.MustCompile(`^/[^/]*/[^/]*/$`)

// root is what every command is attached to.
func (r *mcReader) root(v *jvalue) (expr, error) {
	if r.prefix != "" && !routingPrefix.MatchString(r.prefix) {
		return expr{}, fmt.Errorf("cannot use routing prefix %q: want /REGION/CLUSTER/", r.prefix)
	}
	one, many := v.get("route"), v.get("routes")
	switch {
	case one != nil && many != nil:
		return expr{}, r.fail(many, "both route and routes are there")
	case one != nil:
		r.prefixes = r.prefix != ""
		e, err := r.one(one, "route")
		if err != nil || !r.prefixes {
			return e, err
		}
		if !e.pool {
			e = r.share(e)
		}
		return r.byRoutingPrefix(one.line, []string{r.prefix}, []expr{e}, e.text), nil
	case many == nil:
		return expr{}, r.fail(v, "neither route nor routes is there")
	}
	r.prefixes = true
	var prefixes []string
	var routes []expr
	add := func(at *jvalue, prefix string, e expr) error {
		if !routingPrefix.MatchString(prefix) {
			return r.fail(at, "routes: %q is no routing prefix: want /REGION/CLUSTER/", prefix)
		}
		prefixes, routes = append(prefixes, prefix), append(routes, e)
		return nil
	}
	switch many.kind {
	case jObject:
		for i, k := range many.keys {
			e, err := r.one(many.list[i], "routes: "+k.name)
			if err != nil {
				return expr{}, err
			}
			if err := add(&jvalue{line: k.line}, k.name, e); err != nil {
				return expr{}, err
			}
		}
	case jArray:
		for _, it := range many.list {
			aliases, route := it.get("aliases"), it.get("route")
			if aliases == nil || aliases.kind != jArray || route == nil {
				return expr{}, r.fail(it, "routes: want an object with aliases, an array, and route")
			}
			e, err := r.one(route, "routes: route")
			if err != nil {
				return expr{}, err
			}
			if len(aliases.list) > 1 && !e.pool {
				e = r.share(e)
			}
			for _, a := range aliases.list {
				if err := add(a, a.text, e); err != nil {
					return expr{}, err
				}
			}
		}
	default:
		return expr{}, r.fail(many, "routes: want an array or an object, got %s", many.kind)
	}
	return r.choose(many, prefixes, routes)
}

// choose finds the route of keys without a routing prefix.
func (r *mcReader) choose(many *jvalue, prefixes []string, routes []expr) (expr, error) {
	if len(routes) == 0 {
		return expr{}, r.fail(many, "routes: there are none")
	}
	same := true
	for _, e := range routes {
		same = same && e.text == routes[0].text
	}
	for i, p := range prefixes {
		if p == cmp.Or(r.prefix, mcDefaultPrefix) {
			if !routes[i].pool {
				routes[i] = r.share(routes[i])
			}
			return r.byRoutingPrefix(many.line, prefixes, routes, routes[i].text), nil
		}
	}
	switch {
	case r.prefix != "":
		return expr{}, r.fail(many, "routes: there is no %q, which --route-prefix names; there are %s", r.prefix, strings.Join(prefixes, ", "))
	case same:
		if !routes[0].pool {
			shared := r.share(routes[0])
			for i := range routes {
				routes[i] = shared
			}
		}
		return r.byRoutingPrefix(many.line, prefixes, routes, routes[0].text), nil
	}
	r.note(many.line, "keys without a routing prefix are answered with an error: say which route is theirs with --route-prefix, as to mcrouter")
	return r.byRoutingPrefix(many.line, prefixes, routes, ""), nil
}

func (r *mcReader) byRoutingPrefix(at int, prefixes []string, routes []expr, byDefault string) expr {
	r.note(at, "keys that go to several routing prefixes at once (/*/*/KEY, /REGION/*/KEY) are answered with an error")
	var list []string
	for i, p := range prefixes {
		list = append(list, fmt.Sprintf("[%s] = %s", luaString(p), routes[i].text))
	}
	all := []string{"routes = " + table(list)}
	if byDefault != "" {
		all = append(all, "default = "+byDefault)
	}
	return r.call("by_routing_prefix", all...)
}
