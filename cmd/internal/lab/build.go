package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Build makes the binary at path as a release is built, but for more flags.
func Build(ctx context.Context, path string, flags ...string) error {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "github.com/wxnotify/wxnotify/cmd/wxnotify")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build wxnotify: %w\n%s", err, out)
	}
	return nil
}

// CleanEnv is the environment without the settings of an installation.
func CleanEnv() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WXNOTIFY_") {
			env = append(env, entry)
		}
	}
	return env
}

// AppVariable is the name of one of an app's variables.
func AppVariable(app, name string) string {
	return "WXNOTIFY_APP_" + strings.ToUpper(app) + "_" + name
}
