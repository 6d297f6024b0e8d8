// Package system tests Tidepool as its users meet it: the real binary, as processes on loopback ports that the kernel
// chooses, and real peers (memcached, gomemcache, libmemcached's tools) where they are installed. There is nothing here
// but tests; nobody imports it. Its tests start processes and end only those, so they may run beside anything else,
// but not beside each other: several of them measure.
package system
