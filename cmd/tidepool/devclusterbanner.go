// What tidepool dev --etcd says when it runs.

package main

import (
	"fmt"
	"io"
	"strings"
)

// clusterBanner is what is said.
type clusterBanner struct {
	x      *devCluster
	leaves []string // "leaf-1 in zone a, process 17"
	next   string   // the name of one leaf more
	port   int      // its port
}

func (x *devCluster) banner(f *devFlags) *clusterBanner {
	b := &clusterBanner{x: x, next: fmt.Sprintf("leaf-%d", f.leaves+1), port: f.portOf(f.leaves)}
	for i, l := range x.leaves {
		b.leaves = append(b.leaves, fmt.Sprintf("%s in zone %c, process %d", l.name, 'a'+i%2, l.cmd.Process.Pid))
	}
	return b
}

// print is one write, so that no log line falls into it.
func (b *clusterBanner) print(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "\ntidepool %s: a cluster on one machine\n\n", versionName())
	fmt.Fprintf(&s, "  etcd     %s, process %d\n", b.x.endpoint, b.x.etcd.cmd.Process.Pid)
	for i, l := range b.leaves {
		fmt.Fprintf(&s, "  %-8s %s\n", []string{"leaves", ""}[min(i, 1)], l)
	}
	for i, p := range b.x.proxies {
		fmt.Fprintf(&s, "  %-8s %s, admin %s, process %d\n", []string{"proxies", ""}[i], b.x.listen[i], adminURL(b.x.admin[i]), p.cmd.Process.Pid)
	}
	fmt.Fprintf(&s, "  config   %s\n", b.x.config)

	s.WriteString("\nThings to try:\n\n")
	for i, t := range b.tries() {
		fmt.Fprintf(&s, "  %d. %s\n     %s\n", i+1, t.what, t.command)
	}
	s.WriteString("\nCtrl-C stops all of it.\n\n")
	_, err := io.WriteString(w, s.String())
	return err
}

func (b *clusterBanner) tries() []try {
	one, two := untagged(b.x.listen[0]), untagged(b.x.listen[1])
	look := try{"see the members that a proxy goes by", `printf 'stats proxytopology\r\nquit\r\n' | ` + netcat(one)}
	if b.x.admin[0] != noAdmin {
		look.command = "curl " + curlTarget(b.x.admin[0], "/config")
	}
	leaves := b.x.leaves
	return []try{
		{"store a value through one proxy and read it through the other", `printf 'set hello 0 0 5\r\nworld\r\nquit\r\n' | ` + netcat(one) +
			` && printf 'get hello\r\nquit\r\n' | ` + netcat(two)},
		look,
		{"add a leaf: it is used at once, and brings over what others held of its keys", fmt.Sprintf(
			"%s leaf --name %s --listen 127.0.0.1:%d --etcd %s --pool %s --zone a", b.x.exe, b.next, b.port, b.x.endpoint, clusterPool)},
		{"stop a leaf in good order: no request fails", fmt.Sprintf("kill %d", leaves[len(leaves)-1].cmd.Process.Pid)},
		{"kill one: proxies leave it alone at once, and give its keys to others a second later", fmt.Sprintf("kill -9 %d", leaves[0].cmd.Process.Pid)},
		{"kill etcd: everything serves on as it is", fmt.Sprintf("kill -9 %d", b.x.etcd.cmd.Process.Pid)},
	}
}
