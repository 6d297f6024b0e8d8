// nutcracker.yml, as twemproxy 0.5 reads it.

package importer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// twPool is one pool: a listener and its servers.
type twPool struct {
	name     string
	line     int
	tag      string // of its listener; "" if it is the only pool
	listen   string
	hash     string
	hashTag  string
	dist     string
	timeout  int // ms; 0: none
	conns    int
	eject    bool
	retry    int // ms
	failures int
	keep     bool
	servers  []twServer
	notes    []string // what has no equivalent
}

type twServer struct {
	label      string
	host, port string // or
	path       string
	weight     int
	name       string // as written; "": none
}

// twemproxy's names and defaults.
var (
	twHashes = []string{"one_at_a_time", "md5", "crc16", "crc32", "crc32a", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32", "hsieh", "murmur", "jenkins"}
	twDists  = []string{"ketama", "modula", "random"}
)

const (
	twDefaultHash     = "fnv1a_64"
	twDefaultDist     = "ketama"
	twDefaultRetry    = 30000
	twDefaultFailures = 2
	maxConnections    = 8 // of a backend
)

// twReader reads one file.
type twReader struct{ file string }

func (r *twReader) fail(n *yaml.Node, format string, args ...any) error {
	return &Error{r.file, n.Line, fmt.Sprintf(format, args...)}
}

// read gives the pools in the order of the file.
func (r *twReader) read(text []byte) ([]*twPool, error) {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, &Error{r.file, 1, "the file is empty"}
		}
		return nil, r.syntax(err)
	}
	var more yaml.Node
	if err := d.Decode(&more); err == nil {
		return nil, r.fail(&more, "want one YAML document, here begins another")
	} else if !errors.Is(err, io.EOF) {
		return nil, r.syntax(err)
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode || len(root.Content) == 0 {
		return nil, r.fail(root, "want pools: a name, and its settings indented below it")
	}
	var pools []*twPool
	seen, listens := map[string]bool{}, map[string]string{}
	for i := 0; i < len(root.Content); i += 2 {
		name, body := root.Content[i], root.Content[i+1]
		if seen[name.Value] {
			return nil, r.fail(name, "pool %q: there is another pool of this name", name.Value)
		}
		seen[name.Value] = true
		p, err := r.pool(name, body)
		if err != nil {
			return nil, err
		}
		if other, ok := listens[p.listen]; ok {
			return nil, r.fail(name, "pool %q: listens on %s, as pool %q does", p.name, p.listen, other)
		}
		listens[p.listen] = p.name
		pools = append(pools, p)
	}
	return pools, nil
}

var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// syntax is the parser's error, with its line where ours have it.
func (r *twReader) syntax(err error) error {
	msg, line := err.Error(), 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	return &Error{r.file, line, strings.TrimPrefix(msg, "yaml: ")}
}

func (r *twReader) pool(name, body *yaml.Node) (*twPool, error) {
	if body.Kind != yaml.MappingNode {
		return nil, r.fail(body, "pool %q: want settings indented below its name", name.Value)
	}
	p := &twPool{
		name: name.Value, line: name.Line, hash: twDefaultHash, dist: twDefaultDist,
		conns: 1, retry: twDefaultRetry, failures: twDefaultFailures,
	}
	seen := map[string]bool{}
	for i := 0; i < len(body.Content); i += 2 {
		key, value := body.Content[i], body.Content[i+1]
		if seen[key.Value] {
			return nil, r.fail(key, "pool %q: %s is there twice", p.name, key.Value)
		}
		seen[key.Value] = true
		if value.Kind != yaml.ScalarNode && key.Value != "servers" {
			return nil, r.fail(value, "pool %q: %s: want one value", p.name, key.Value)
		}
		if err := r.setting(p, seen, key, value); err != nil {
			return nil, err
		}
	}
	if !seen["listen"] {
		return nil, r.fail(name, "pool %q: listen is missing", p.name)
	}
	if !seen["servers"] {
		return nil, r.fail(name, "pool %q: servers is missing", p.name)
	}
	p.sortServers()
	p.finish(seen)
	return p, nil
}

// sortServers brings the servers into the order in which nutcracker counts them: by what it hashes, the shorter first. Modula
// goes by it.
func (p *twPool) sortServers() {
	before := slices.Clone(p.servers)
	slices.SortStableFunc(p.servers, func(a, b twServer) int {
		return cmp.Or(cmp.Compare(len(a.hashed()), len(b.hashed())), cmp.Compare(a.hashed(), b.hashed()))
	})
	if p.dist == "modula" && !slices.Equal(before, p.servers) {
		p.notes = append(p.notes, "servers: nutcracker sorts them by name, the shorter first, before it counts: so they stand here")
	}
}

// setting reads one line of a pool.
func (r *twReader) setting(p *twPool, seen map[string]bool, key, value *yaml.Node) (err error) {
	bad := func(format string, args ...any) error {
		return r.fail(value, "pool %q: %s: %s", p.name, key.Value, fmt.Sprintf(format, args...))
	}
	number := func(to *int) error {
		n, err := strconv.Atoi(value.Value)
		if err != nil || n < 0 {
			return bad("want a number from 0 on, got %q", value.Value)
		}
		*to = n
		return nil
	}
	truth := func(to *bool) error {
		if value.Value != "true" && value.Value != "false" {
			return bad("want true or false, got %q", value.Value)
		}
		*to = value.Value == "true"
		return nil
	}
	var n int
	var yes bool
	switch key.Value {
	case "listen":
		if p.listen, err = twListen(value.Value); err != nil {
			return bad("%v", err)
		}
		if _, mode, ok := strings.Cut(value.Value, " "); ok && strings.HasPrefix(p.listen, "unix:") {
			p.notes = append(p.notes, fmt.Sprintf("listen: the socket's permissions %s are left out: here they are 0700", strconv.Quote(mode)))
		}
	case "hash":
		if p.hash = value.Value; !slices.Contains(twHashes, p.hash) {
			return bad("%q is no hash; there are %s", p.hash, strings.Join(twHashes, ", "))
		}
	case "hash_tag":
		if p.hashTag = value.Value; len(p.hashTag) != 2 {
			return bad("want two characters, got %q", p.hashTag)
		}
	case "distribution":
		if p.dist = value.Value; !slices.Contains(twDists, p.dist) {
			return bad("%q is no distribution; there are %s", p.dist, strings.Join(twDists, ", "))
		}
	case "timeout":
		return number(&p.timeout)
	case "backlog":
		p.notes = append(p.notes, "backlog: the system's own limit is used")
		return number(&n)
	case "client_connections":
		p.notes = append(p.notes, "client_connections: nutcracker ignores it; tidepool proxy --max-conns limits all listeners together")
		return number(&n)
	case "server_connections":
		if err := number(&p.conns); err != nil {
			return err
		}
		if p.conns == 0 {
			return bad("want a number from 1 on, got %q", value.Value)
		}
	case "server_retry_timeout":
		return number(&p.retry)
	case "server_failure_limit":
		return number(&p.failures)
	case "auto_eject_hosts":
		return truth(&p.eject)
	case "preconnect":
		p.notes = append(p.notes, "preconnect: connections are always made at the start")
		return truth(&yes)
	case "tcpkeepalive":
		return truth(&p.keep)
	case "reuseport":
		p.notes = append(p.notes, "reuseport: has no equivalent")
		return truth(&yes)
	case "redis":
		if err := truth(&yes); err != nil {
			return err
		}
		if yes {
			return bad("%q: Tidepool speaks the memcached protocol only: a redis pool cannot be imported", value.Value)
		}
	case "redis_auth":
		return bad("Tidepool speaks the memcached protocol only: a redis pool cannot be imported")
	case "redis_db":
		p.notes = append(p.notes, "redis_db: means nothing to memcached")
		return number(&n)
	case "servers":
		return r.servers(p, value)
	default:
		return r.fail(key, "pool %q: unknown setting %q", p.name, key.Value)
	}
	return nil
}

// finish notes what depends on several settings.
func (p *twPool) finish(seen map[string]bool) {
	note := func(s string) { p.notes = append(p.notes, s) }
	if p.timeout == 0 {
		note("timeout: nutcracker waits for ever without one; here it is 5 s for a connection, 3 s for an answer")
	}
	if p.conns > maxConnections {
		note(fmt.Sprintf("server_connections: %d is more than %d, the most that a backend has here", p.conns, maxConnections))
		p.conns = maxConnections
	}
	switch {
	case p.eject:
		note("auto_eject_hosts: has no equivalent: keys of a server that is down are answered with an error until it is")
		note("back, they do not move to others. Clients should take the error as a miss, as they do with nutcracker.")
		if p.retry < 1000 || p.retry%1000 != 0 {
			note("server_retry_timeout: is rounded to whole seconds, at least one")
		}
	case seen["server_retry_timeout"] || seen["server_failure_limit"]:
		note("server_retry_timeout, server_failure_limit: nutcracker uses them only with auto_eject_hosts")
	}
	if p.dist == "random" {
		for _, s := range p.servers {
			if s.weight != 1 {
				note("weights: nutcracker's random distribution has none either")
				break
			}
		}
	}
}

// twListen makes a LISTEN address of "host:port" or "/path [permissions]".
func twListen(s string) (string, error) {
	// It becomes part of a command line that people copy.
	if i := strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune("'\"`$&;|<>()\\", c) }); i >= 0 {
		return "", fmt.Errorf("%q is in no address, in %q", s[i:i+1], s)
	}
	if strings.HasPrefix(s, "/") {
		path, _, _ := strings.Cut(s, " ")
		return "unix:" + path, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i <= 0 {
		return "", fmt.Errorf("want host:port or /path, got %q", s)
	}
	host, port := s[:i], s[i+1:]
	if !validPort(port) {
		return "", fmt.Errorf("%q is no port, in %q", port, s)
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	return host + ":" + port, nil
}

func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0
}

func (r *twReader) servers(p *twPool, list *yaml.Node) error {
	if list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return r.fail(list, "pool %q: servers: want a list of host:port:weight [name]", p.name)
	}
	seen := map[string]bool{}
	for _, n := range list.Content {
		s, err := twParseServer(n.Value)
		if err == nil && n.Kind != yaml.ScalarNode {
			err = errors.New("want host:port:weight [name] or /path:weight [name]")
		}
		if err != nil {
			return r.fail(n, "pool %q: servers: %v", p.name, err)
		}
		if seen[s.hashed()] {
			return r.fail(n, "pool %q: servers: %q is there twice", p.name, s.hashed())
		}
		seen[s.hashed()] = true
		p.servers = append(p.servers, s)
	}
	return nil
}

// twParseServer reads host:port:weight [name] or /path:weight [name], from the end, as nutcracker does.
func twParseServer(text string) (s twServer, err error) {
	bad := func(what string) (twServer, error) {
		return s, fmt.Errorf("%s in %q: want host:port:weight [name] or /path:weight [name]", what, text)
	}
	addr, name, _ := strings.Cut(text, " ")
	s.name = name
	if strings.Contains(name, " ") || strings.HasSuffix(text, " ") {
		return bad("more than a name")
	}
	i := strings.LastIndexByte(addr, ':')
	if i < 0 {
		return bad("no weight")
	}
	if s.weight, err = strconv.Atoi(addr[i+1:]); err != nil || s.weight < 1 {
		return bad(fmt.Sprintf("no weight is %q", addr[i+1:]))
	}
	addr, err = addr[:i], nil
	s.label = addr
	if name != "" {
		s.label = name
	}
	if strings.HasPrefix(addr, "/") {
		s.path = addr
		return s, nil
	}
	if i = strings.LastIndexByte(addr, ':'); i <= 0 {
		return bad("no port")
	}
	s.host, s.port = strings.Trim(addr[:i], "[]"), addr[i+1:]
	if !validPort(s.port) {
		return bad(fmt.Sprintf("no port is %q", s.port))
	}
	return s, nil
}

// hashed is what nutcracker's ketama hashes.
func (s *twServer) hashed() string {
	switch {
	case s.name != "":
		return s.name
	case s.path != "":
		return s.path + ":" // a port of no digits
	case s.port == "11211":
		return s.host
	}
	return s.host + ":" + s.port
}
