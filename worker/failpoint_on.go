//go:build failpoint

package worker

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// fate is where the process dies, and how likely each time it passes there.
var fate = readFate(os.Getenv("FAILPOINT"))

type deathBed struct {
	name        string
	probability float64
}

// readFate reads name:probability; nothing named is nowhere. What cannot be read
// must not look like a process that survived.
func readFate(text string) deathBed {
	if text == "" {
		return deathBed{}
	}
	name, share, _ := strings.Cut(text, ":")
	p, err := strconv.ParseFloat(share, 64)
	if err != nil || name == "" {
		panic(fmt.Sprintf("FAILPOINT: want name:probability, got %q", text))
	}
	return deathBed{name, p}
}

// failpoint kills the process as kill -9 would, with the probability that the
// environment gives to this place.
func failpoint(name string) {
	if name != fate.name || rand.Float64() >= fate.probability {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing can refuse it
	select {}                                      // it comes at once, but not at this very instruction
}
