// mcrouter's pools: servers, times and hashes.

package importer

import (
	"strconv"
	"strings"
)

// inherited is a pool's fields with those that it inherits, and where it stands.
func (r *mcReader) inherited(v *jvalue, what string, depth int) (*jvalue, error) {
	if v.kind != jObject {
		return nil, r.fail(v, "%s: want an object, got %s", what, v.kind)
	}
	from := v.get("inherit")
	if from == nil {
		return v, nil
	}
	parent := r.pools[from.text]
	if parent == nil {
		return nil, r.fail(from, "%s: inherit: there is no pool %q that it could inherit from", what, from.text)
	}
	if depth > len(r.pools) {
		return nil, r.fail(from, "%s: inherit: it leads back to the pool itself", what)
	}
	base, err := r.inherited(parent, what, depth+1)
	if err != nil {
		return nil, err
	}
	all := &jvalue{kind: jObject, line: v.line, keys: append([]jkey(nil), v.keys...), list: append([]*jvalue(nil), v.list...)}
	for i, k := range base.keys {
		if v.get(k.name) == nil {
			all.keys, all.list = append(all.keys, k), append(all.list, base.list[i])
		}
	}
	return all, nil
}

// pool reads the pool that a route names or holds.
func (r *mcReader) pool(v *jvalue) (*mcPool, error) {
	name := v.text
	if v.kind == jObject {
		n := v.get("name")
		if n == nil || n.kind != jString {
			return nil, r.fail(v, "pool: want a name")
		}
		name = n.text
		defines := v.get("servers") != nil || v.get("inherit") != nil
		switch given := r.pools[name]; {
		case given == nil && defines:
			r.pools[name] = v
		case given != nil && given != v && defines:
			r.note(v.line, "pool %q: there is another of this name, on line %d: like mcrouter, that is the one that is used", name, given.line)
		}
	} else if v.kind != jString {
		return nil, r.fail(v, "pool: want a pool's name, got %s", v.kind)
	}
	def := r.pools[name]
	if def == nil {
		return nil, r.fail(v, "there is no pool %q", name)
	}
	r.asked[name] = true
	what := "pool " + strconv.Quote(name)
	def, err := r.inherited(def, what, 0)
	if err != nil {
		return nil, err
	}
	p := &mcPool{key: name, dist: "ch3", timeout: mcDefaultTimeout}
	for i, k := range def.keys {
		if err := r.poolField(p, what, k, def.list[i]); err != nil {
			return nil, err
		}
	}
	if p.connect == 0 {
		p.connect = p.timeout
	}
	if len(p.servers) == 0 {
		return nil, r.fail(def, "%s: servers: there are none", what)
	}
	if port := def.get("port_override"); port != nil {
		if port.kind != jNumber || !validPort(port.text) {
			return nil, r.fail(port, "%s: port_override: want a port, got %s %s", what, port.kind, port.text)
		}
		for i := range p.servers {
			if p.servers[i].path == "" {
				p.servers[i].port = port.text
			}
		}
	}
	if w := def.get("weights"); w != nil {
		if err := r.weights(p, what, w); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (r *mcReader) poolField(p *mcPool, what string, k jkey, v *jvalue) error {
	switch k.name {
	case "servers":
		if v.kind != jArray {
			return r.fail(v, "%s: servers: want an array, got %s", what, v.kind)
		}
		for _, e := range v.list {
			if e.kind != jString {
				return r.fail(e, "%s: servers: want host:port, got %s", what, e.kind)
			}
			s, protocol, security, err := mcParseServer(e.text)
			if err != nil {
				return r.fail(e, "%s: servers: %v", what, err)
			}
			if err := r.speaks(e, what, protocol, security); err != nil {
				return err
			}
			p.servers = append(p.servers, s)
		}
	case "server_timeout":
		return r.milliseconds(v, what+": "+k.name, &p.timeout)
	case "connect_timeout":
		return r.milliseconds(v, what+": "+k.name, &p.connect)
	case "protocol":
		return r.speaks(v, what, strings.ToLower(v.text), "")
	case "security_mech", "security_mech_within_dc", "security_mech_cross_dc":
		return r.speaks(v, what, "", v.text)
	case "use_ssl":
		yes, err := r.truth(v, what+": "+k.name)
		if err == nil && yes {
			err = r.speaks(v, what, "", "ssl")
		}
		return err
	case "keep_routing_prefix":
		var err error
		p.keep, err = r.truth(v, what+": "+k.name)
		return err
	case "port_override_within_dc", "port_override_cross_dc":
		return r.fail(v, "%s: %s: which servers are in this data centre is not known here: write their ports into servers", what, k.name)
	case "weights", "inherit", "name", "type", "port_override": // read elsewhere, or said already
	case "region", "cluster", "pool_locality":
		r.note(k.line, "%s: %s: the timeouts of mcrouter's command line that go by it are not known here", what, k.name)
	default:
		r.note(k.line, "%s: %q has no equivalent: left out", what, k.name)
	}
	return nil
}

func (r *mcReader) truth(v *jvalue, what string) (bool, error) {
	if v.kind != jBool {
		return false, r.fail(v, "%s: want true or false, got %s %s", what, v.kind, v.text)
	}
	return v.truth, nil
}

// speaks refuses what is not memcached's text protocol in the clear.
func (r *mcReader) speaks(at *jvalue, what, protocol, security string) error {
	if protocol != "" && protocol != "ascii" {
		return r.fail(at, "%s: protocol %q: Tidepool speaks memcached's own protocol only (ascii)", what, protocol)
	}
	if security != "" && security != "plain" {
		return r.fail(at, "%s: security %q: an import cannot set up TLS", what, security)
	}
	return nil
}

// weights turns the pool into WeightedCh3.
func (r *mcReader) weights(p *mcPool, what string, v *jvalue) error {
	if v.kind != jArray {
		return r.fail(v, "%s: weights: want an array, got %s", what, v.kind)
	}
	for i := range p.servers {
		p.servers[i].weight = "0.5" // as mcrouter fills up
		if i < len(v.list) {
			w, err := strconv.ParseFloat(v.list[i].text, 64)
			if v.list[i].kind != jNumber || err != nil || w < 0 || w > 1 {
				return r.fail(v.list[i], "%s: weights: want a number from 0 to 1, got %s %s", what, v.list[i].kind, v.list[i].text)
			}
			p.servers[i].weight = v.list[i].text
		}
	}
	p.dist = "weighted_ch3"
	return nil
}

// hash reads how a PoolRoute or a HashRoute places keys. unsupported names a function that Tidepool does not have.
func (r *mcReader) hash(p *mcPool, what string, v *jvalue) (unsupported string, err error) {
	name, set := "", false
	switch v.kind {
	case jString:
		name, set = v.text, true
	case jObject:
		if f := v.get("hash_func"); f != nil {
			if f.kind != jString {
				return "", r.fail(f, "%s: hash_func: want a string, got %s", what, f.kind)
			}
			name, set = f.text, true
		}
		if s := v.get("salt"); s != nil {
			if s.kind != jString {
				return "", r.fail(s, "%s: salt: want a string, got %s", what, s.kind)
			}
			p.salt = s.text
		}
		if w := v.get("weights"); w != nil && (name == "WeightedCh3" || !set && p.dist == "weighted_ch3") {
			if err := r.weights(p, what, w); err != nil {
				return "", err
			}
		}
	default:
		return "", r.fail(v, "%s: hash: want a string or an object, got %s", what, v.kind)
	}
	if !set {
		return "", nil
	}
	dist := map[string]string{"Ch3": "ch3", "Crc32": "crc32", "WeightedCh3": "weighted_ch3"}[name]
	switch {
	case dist == "":
		return name, nil
	case dist == "weighted_ch3" && p.dist != dist:
		return "", r.fail(v, "%s: hash_func WeightedCh3 wants weights", what)
	case dist != "weighted_ch3":
		for i := range p.servers {
			p.servers[i].weight = ""
		}
	}
	p.dist = dist
	return "", nil
}
