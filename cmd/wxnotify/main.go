// Command wxnotify sends WeChat Mini Program notifications through a queue. Its
// subcommands are the processes of an installation (worker, gateway, dashboard),
// a sandbox WeChat, everything in one process for a first look (dev), and the
// tools of those who run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kong"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
)

// cli is the command line: one field per subcommand, each in a file of its own.
type cli struct {
	Dev         devCmd         `cmd:"" help:"Run everything in one process, to try it: embedded Redis, sandbox WeChat, gateway, worker, dashboard."`
	Worker      workerCmd      `cmd:"" help:"Send what is in the queues, and run the schedules."`
	Gateway     gatewayCmd     `cmd:"" help:"Serve the HTTP API."`
	Dashboard   dashboardCmd   `cmd:"" help:"Serve asynqmon, read-only, with openids and content masked."`
	Sandbox     sandboxCmd     `cmd:"" help:"Serve a WeChat to test against, with faults on request."`
	Send        sendCmd        `cmd:"" help:"Enqueue one notification."`
	Status      statusCmd      `cmd:"" help:"Show where a notification stands, why, and what to do."`
	Stats       statsCmd       `cmd:"" help:"Count what became of notifications, by day, kind and template."`
	Dead        deadCmd        `cmd:"" help:"List, show, replay or drop dead letters: what only a person can help."`
	Templates   templatesCmd   `cmd:"" help:"List, show and check the app's templates; have them read anew."`
	Credits     creditsCmd     `cmd:"" help:"Show or grant what a user allows; delete what has expired."`
	Card        cardCmd        `cmd:"" help:"Show how a service card stands at WeChat."`
	User        userCmd        `cmd:"" help:"Erase what is kept about a user."`
	Token       tokenCmd       `cmd:"" help:"Show or renew the access_token of an app; never prints it."`
	App         appCmd         `cmd:"" help:"Show, pause or resume what an app sends."`
	Check       checkCmd       `cmd:"" help:"Check configuration, Redis, tokens and queues."`
	Healthcheck healthcheckCmd `cmd:"" help:"Ask a running process on its admin port; for containers."`
	Version     versionCmd     `cmd:"" help:"Print version, commit and Go version."`
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// program is what a subcommand gets from the outside.
type program struct {
	ctx    context.Context
	stdout io.Writer
	stderr io.Writer
}

func main() {
	ctx, stop := boot.SignalContext(context.Background())
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process: a test can call it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	exited := -1
	parser, err := kong.New(&cli{},
		kong.Name("wxnotify"),
		kong.Description("Sends WeChat Mini Program notifications through a queue. Configured by WXNOTIFY_ variables; see README.md."),
		kong.Writers(stdout, stderr),
		kong.UsageOnError(),
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		return fail(stderr, err)
	}
	command, err := parser.Parse(args)
	if exited == exitOK { // --help was answered
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "wxnotify: %v\nRun wxnotify --help for usage.\n", err)
		return exitUsage
	}
	return fail(stderr, command.Run(&program{ctx: ctx, stdout: stdout, stderr: stderr}))
}

// errReported says that what is wrong was printed already.
var errReported = errors.New("failed")

// fail prints an error as people read it and returns the exit code.
func fail(stderr io.Writer, err error) int {
	var refused *tasks.ValidationError
	var wrong *config.Error
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
	case errors.As(err, &refused):
		fmt.Fprintln(stderr, "wxnotify: refused, nothing was done:")
		for _, f := range refused.Fields {
			fmt.Fprintf(stderr, "  %s: %s\n", f.Field, f.Detail)
		}
		return exitUsage
	case errors.As(err, &wrong):
		fmt.Fprintln(stderr, "wxnotify: the configuration is wrong:")
		for _, p := range wrong.Problems {
			fmt.Fprintf(stderr, "  %s: %s\n", p.Variable, p.Detail)
		}
	default:
		fmt.Fprintf(stderr, "wxnotify: %v\n", err)
		if refused := tasks.Forbidden(err); refused != nil { // in Redis's own words so far
			fmt.Fprintf(stderr, "wxnotify: %v\n", refused)
		}
	}
	return exitFailed
}
