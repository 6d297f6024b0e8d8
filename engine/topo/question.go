// Questions to DNS, and the members that answers stand for.

package topo

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// question is what DNS is asked.
type question struct {
	srv    bool
	name   string // the host, or the whole name of the SRV records
	port   string // of the addresses; "" with srv, where the answer has it
	scheme string // before each member's address: "", "nats://" or "tls://"
}

// parseDNS reads
//
//	dns://host:port    A and AAAA records, each with this port
//	srv://name         SRV records: _service._proto.domain
//
// The members are memcached servers; leaves behind dns+nats://, dns+tls://, srv+nats:// and srv+tls://.
func parseDNS(from string) (q question, err error) {
	scheme, rest, ok := strings.Cut(from, "://")
	kind, leaf, leaves := strings.Cut(scheme, "+")
	if !ok || kind != "dns" && kind != "srv" || leaves && leaf != "nats" && leaf != "tls" {
		return q, fmt.Errorf("cannot discover from %q: want dns://host:port, srv://name, either with +nats or +tls before the colon for leaves, or file:PATH", from)
	}
	if leaves {
		q.scheme = leaf + "://"
	}
	if q.srv = kind == "srv"; q.srv {
		q.name = strings.TrimSuffix(rest, ".")
		if q.name == "" || strings.ContainsAny(q.name, ":/@ ") {
			return q, fmt.Errorf("cannot discover from %q: want the name of SRV records, such as srv://_memcache._tcp.example.com", from)
		}
		return q, nil
	}
	if q.name, q.port, err = net.SplitHostPort(rest); err != nil || q.name == "" || strings.ContainsAny(q.name, "/@ ") {
		return q, fmt.Errorf("cannot discover from %q: want dns://host:port", from)
	}
	if n, err := strconv.ParseUint(q.port, 10, 16); err != nil || n == 0 {
		return q, fmt.Errorf("cannot discover from %q: port %q is not a number from 1 to 65535", from, q.port)
	}
	return q, nil
}

func (q question) String() string { return q.name }

// resolve asks, and gives the members that the answer stands for, in the order of their names.
func (q question) resolve(ctx context.Context, r Resolver) ([]Member, error) {
	if q.srv {
		return q.resolveSRV(ctx, r)
	}
	addrs, err := r.LookupHost(ctx, q.name)
	if err != nil {
		return nil, err
	}
	var ms []Member
	for _, a := range addrs {
		ip, err := netip.ParseAddr(a)
		if err != nil {
			return nil, err
		}
		ip = ip.Unmap()
		ms = append(ms, q.member(ip.String(), ip.String(), q.port))
	}
	return distinct(ms)
}

// resolveSRV asks for SRV records. Priorities and weights are not looked at: what writes them, such as CoreDNS, changes them with the number
// of records, and keys would move.
func (q question) resolveSRV(ctx context.Context, r Resolver) ([]Member, error) {
	_, records, err := r.LookupSRV(ctx, "", "", q.name)
	if err != nil && len(records) == 0 { // with records, some were no host names, and have been left out
		return nil, err
	}
	var ms []Member
	for _, rec := range records {
		target := strings.ToLower(strings.TrimSuffix(rec.Target, "."))
		if target == "" || rec.Port == 0 {
			continue // there is no such service
		}
		ms = append(ms, q.member(q.shorter(target), target, strconv.Itoa(int(rec.Port))))
	}
	return distinct(ms)
}

// shorter is a target without the domain that the question is about: leaf-0 of _x._tcp.leaves.default.svc.cluster.local.
func (q question) shorter(target string) string {
	domain := q.name
	for strings.HasPrefix(domain, "_") {
		_, domain, _ = strings.Cut(domain, ".")
	}
	if domain == "" {
		return target
	}
	return strings.TrimSuffix(target, "."+strings.ToLower(domain))
}

// The ports that are no part of a member's name, as ketama has it with the first.
const (
	memcachedPort = "11211"
	leafPort      = "4301"
)

// member makes one. Its name depends on nothing but itself, so that no other member's coming or going moves its keys.
func (q question) member(name, host, port string) Member {
	usual := memcachedPort
	if q.scheme != "" {
		usual = leafPort
	}
	if port != usual {
		name += "-" + port
	}
	return Member{Name: asName(name), Addr: q.scheme + net.JoinHostPort(host, port)}
}

// asName makes a member's name of a host's.
func asName(host string) string {
	name := []byte(strings.ToLower(host))
	for i, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			name[i] = '-'
		}
	}
	const most = 63
	if len(name) > most {
		h := fnv.New64a()
		h.Write([]byte(host))
		name = fmt.Appendf(name[:most-17], "-%016x", h.Sum64())
	}
	return string(name)
}

// distinct puts members in order and drops doubles; two of one name are an error.
func distinct(ms []Member) ([]Member, error) {
	byName(ms)
	var out []Member
	for i, m := range ms {
		if i > 0 && ms[i-1] == m {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Name == m.Name {
			return nil, errors.New("two addresses have one name: " + out[n-1].Addr + " and " + m.Addr)
		}
		if err := m.Validate(); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
