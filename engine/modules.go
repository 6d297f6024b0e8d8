// The modules that require finds: in the binary, the route library, and where it looks for files.

package engine

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/routes"
)

// Library compiles every module of the route library, by the name that require takes ("routes.zoned"). files are NAME.lua; nil: those in
// the binary.
func Library(files fs.FS, compile func(src []byte, name string) (*vm.Proto, error)) (map[string]*vm.Proto, error) {
	if files == nil {
		files = routes.Files
	}
	names, err := fs.Glob(files, "*.lua")
	if err != nil {
		return nil, err
	}
	protos := make(map[string]*vm.Proto, len(names))
	for _, name := range names {
		src, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		proto, err := compile(src, "[routes/"+name+"]")
		if err != nil {
			return nil, fmt.Errorf("cannot compile the route library: %w", err)
		}
		protos["routes."+strings.TrimSuffix(name, ".lua")] = proto
	}
	return protos, nil
}

// systemPath is where Lua 5.4 looks when nobody says otherwise.
const systemPath = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;./?.lua;./?/init.lua"

// packagePath is package.path: what the user says, in which ";;" is Lua's own path as in LUA_PATH, and in front of that path the folder of
// the first configuration file, which serves even where the user says nothing of Lua's.
func packagePath(user string, files []string) string {
	beside, own := "", systemPath
	if len(files) > 0 {
		beside = filepath.Join(filepath.Dir(files[0]), "?.lua")
		own = beside + ";" + systemPath
	}
	switch {
	case user == "":
		return own
	case strings.Contains(user, ";;"):
		return strings.Trim(strings.Replace(user, ";;", ";"+own+";", 1), ";")
	}
	return strings.Trim(user+";"+beside, ";")
}
