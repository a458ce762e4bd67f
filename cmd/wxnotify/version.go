package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is set by the linker; see the Makefile.
var version = "dev"

type versionCmd struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// Run prints what this binary is.
func (v *versionCmd) Run(p *program) error {
	if v.JSON {
		return printJSON(p.stdout, map[string]string{"version": version, "commit": commit(), "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(p.stdout, "wxnotify %s (commit %s, %s)\n", version, commit(), runtime.Version())
	return err
}

// commit is the revision the binary was built from, where the build recorded it.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
