// Which files are meant.

package routetest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suffix is what the names of test files end in, where a folder is given.
const suffix = "_test.lua"

// Files gives the test files that are meant: each a file, a folder (all in it whose names end in _test.lua), or a folder and "/..." (and in the
// folders below it). Each is there once.
func Files(args []string) ([]string, error) {
	var all []string
	for _, arg := range args {
		found, err := filesOf(arg)
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			if !slices.Contains(all, path) {
				all = append(all, path)
			}
		}
	}
	return all, nil
}

func filesOf(arg string) ([]string, error) {
	dir, deep := strings.CutSuffix(arg, "...")
	if deep {
		if dir = strings.TrimSuffix(dir, "/"); dir == "" {
			dir = "."
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot find tests: %w", err)
	}
	if !info.IsDir() {
		return []string{filepath.Clean(dir)}, nil
	}
	var found []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != dir && (!deep || strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(d.Name(), suffix):
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot find tests: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("cannot find tests: no file in %s has a name that ends in %s", arg, suffix)
	}
	slices.Sort(found)
	return found, nil
}
