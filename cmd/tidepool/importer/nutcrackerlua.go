// A nutcracker.yml's pools as a Lua file.

package importer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Nutcracker turns a nutcracker.yml into a Lua file. Keys go to the servers that nutcracker sends them to.
func Nutcracker(text []byte, o Options) ([]byte, error) {
	r := &twReader{o.File}
	pools, err := r.read(text)
	if err != nil {
		return nil, err
	}
	tagPools(pools)
	var b strings.Builder
	fmt.Fprintf(&b, "-- Made from %s by tidepool import. Keys go to the servers that nutcracker sends them to. To run it:\n--\n--   tidepool proxy", comment(o.File))
	for _, p := range pools {
		b.WriteString(" --listen ")
		if p.tag != "" {
			fmt.Fprintf(&b, "tag_%s_:", p.tag)
		}
		b.WriteString(p.listen)
	}
	fmt.Fprintf(&b, " %s\n", comment(o.out()))
	if slices.ContainsFunc(pools, func(p *twPool) bool { return !loopback(p.listen) }) {
		b.WriteString("--\n-- and with --insecure, because other machines can reach it and nothing is encrypted or asked for a password.\n")
	}
	b.WriteString("\nfunction mcp_config_pools()\n    return {\n")
	for i, p := range pools {
		if i > 0 {
			b.WriteString("\n")
		}
		p.write(&b)
	}
	b.WriteString("    }\nend\n\nfunction mcp_config_routes(pools)\n")
	for _, p := range pools {
		tag := ""
		if p.tag != "" {
			tag = ", " + luaString(p.tag)
		}
		fmt.Fprintf(&b, "    mcp.attach(mcp.CMD_ANY_STORAGE, %s%s)\n", luaIndex("pools", p.name), tag)
	}
	b.WriteString("end\n")
	return []byte(b.String()), nil
}

// loopback: only this machine can reach the LISTEN address.
func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil || strings.HasPrefix(listen, "unix:") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// tagPools names the listeners if there are several: by the pool's name if that makes a tag, else by its place.
func tagPools(pools []*twPool) {
	if len(pools) == 1 {
		return
	}
	taken := map[string]bool{}
	for i, p := range pools {
		tag := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
				return r
			}
			return -1
		}, p.name)
		if tag = tag[:min(len(tag), 8)]; tag == "" || taken[tag] {
			tag = fmt.Sprintf("p%d", i+1)
			for n := i + 1; taken[tag]; n++ {
				tag = fmt.Sprintf("p%dx%d", i+1, n)
			}
		}
		taken[tag] = true
		p.tag = tag
	}
}

// write writes the pool as a field of a table.
func (p *twPool) write(b *strings.Builder) {
	fmt.Fprintf(b, "        -- %s listens on %s.\n", comment(p.name), comment(p.listen))
	for _, note := range p.notes {
		fmt.Fprintf(b, "        -- %s\n", note)
	}
	fmt.Fprintf(b, "        %s = mcp.pool({\n", luaKey(p.name))
	for _, s := range p.servers {
		fmt.Fprintf(b, "            mcp.backend%s,\n", p.backend(&s))
	}
	hash := ""
	if p.dist != "random" {
		hash = "mcp.hash_" + p.hash
	}
	tag := ""
	if p.hashTag != "" && p.dist != "random" {
		tag = luaString(p.hashTag)
	}
	fmt.Fprintf(b, "        }, %s),\n", fields(field("name", luaString(p.name)), field("dist", "mcp.dist_"+p.dist), field("hash", hash), field("hash_tag", tag)))
}

// backend is the table of one server.
func (p *twPool) backend(s *twServer) string {
	list := []string{field("label", luaString(s.label))}
	if s.path != "" {
		list = append(list, field("address", luaString("unix:"+s.path)))
	} else {
		list = append(list, field("host", luaString(s.host)), field("port", s.port))
	}
	if p.dist != "random" && s.weight != 1 {
		list = append(list, field("weight", strconv.Itoa(s.weight)))
	}
	if p.dist == "ketama" && (s.name != "" || s.path != "") {
		list = append(list, field("hash_name", luaString(s.hashed())))
	}
	if p.timeout > 0 {
		list = append(list, field("connecttimeout", luaSeconds(p.timeout)), field("readtimeout", luaSeconds(p.timeout)))
	}
	if p.conns > 1 {
		list = append(list, field("connections", strconv.Itoa(p.conns)))
	}
	if p.eject {
		list = append(list, field("failurelimit", strconv.Itoa(p.failures)), field("retrywaittime", luaSeconds(p.retry)))
	}
	if p.keep {
		list = append(list, field("tcpkeepalive", "true"))
	}
	return fields(list...)
}
