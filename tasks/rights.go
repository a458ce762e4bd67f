package tasks

import (
	"regexp"
	"strings"
)

// ForbiddenError says that Redis refused a command because the user that the client
// logs in as lacks a right. Repeating does not help until somebody gives it.
type ForbiddenError struct {
	// Command is the command that Redis named, such as evalsha; empty where it named
	// none, as for keys and inside scripts.
	Command string
}

func (e *ForbiddenError) Error() string {
	return "tasks: the redis user lacks a right: " + e.What() + " is forbidden to it; " +
		"ACL LOG on the server says what was refused, deploy/redis/users.acl has the rights of each role"
}

// What names what is forbidden, and never a key.
func (e *ForbiddenError) What() string {
	if e.Command == "" {
		return "a command, or a key it names,"
	}
	return "the command " + e.Command
}

// denials are what Redis says of it: of a command or its keys, and of one inside a
// script, in the words of older and of newer versions.
var denials = []string{"NOPERM ", "The user executing the script can't ", "ACL failure in script"}

// deniedCommand is where it names the command; one with a subcommand is config|get.
var deniedCommand = regexp.MustCompile(`run the '([a-z0-9|._-]{1,40})' `)

// Forbidden returns what Redis refused for want of a right, nil if err is anything
// else. It goes by the text: asynq passes on no more. Of that it takes the command's
// name alone.
func Forbidden(err error) *ForbiddenError {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, denial := range denials {
		if _, reason, ok := strings.Cut(text, denial); ok {
			command := ""
			if m := deniedCommand.FindStringSubmatch(reason); m != nil {
				command = m[1]
			}
			return &ForbiddenError{Command: command}
		}
	}
	return nil
}
