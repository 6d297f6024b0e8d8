// The modules that require finds in the binary: the route library.

package engine

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/routes"
)

// library compiles every module of the route library, by the name that require takes ("routes.zoned").
func library() (map[string]*vm.Proto, error) {
	files, err := fs.Glob(routes.Files, "*.lua")
	if err != nil {
		return nil, err
	}
	protos := make(map[string]*vm.Proto, len(files))
	for _, name := range files {
		src, err := fs.ReadFile(routes.Files, name)
		if err != nil {
			return nil, err
		}
		proto, err := vm.Compile(src, "[routes/"+name+"]")
		if err != nil {
			return nil, fmt.Errorf("cannot compile the route library: %w", err)
		}
		protos["routes."+strings.TrimSuffix(name, ".lua")] = proto
	}
	return protos, nil
}
