package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// nothingUnknown: the trouble leaves no doubt about any attempt.
func nothingUnknown(_ context.Context, w *world) ([]string, error) {
	if w.verdict.unknown > 0 {
		return []string{fmt.Sprintf("%d attempts ended unknown, which nothing justifies", w.verdict.unknown)}, nil
	}
	return nil, nil
}

// fiveMinutesWrong sets the clock of one worker ahead, and of the next one back.
func fiveMinutesWrong(i int) []string {
	return []string{"FAILPOINT_CLOCK=" + []string{"5m", "-5m"}[i%2]}
}

// everyMinute lets jobs be due often.
func everyMinute(int) []string {
	return []string{"WXNOTIFY_PURGE_CRON=* * * * *", "WXNOTIFY_TOKEN_REFRESH_EVERY=1m"}
}

// eachJobRanOnce compares the slots that were due, of which asynq keeps the tasks, with
// what was done.
func eachJobRanOnce(_ context.Context, w *world) ([]string, error) {
	finished, err := w.inspector.ListCompletedTasks(tasks.Namespace("").SystemQueue(), asynq.PageSize(1000))
	if err != nil {
		return nil, fmt.Errorf("list the jobs: %w", err)
	}
	due := map[string]int{}
	for _, t := range finished {
		job, err := tasks.DecodeJob(t.Type, t.Payload)
		if err != nil {
			return nil, err
		}
		due[job.Job]++
	}
	logs, err := w.workerLogs()
	if err != nil {
		return nil, err
	}
	done := map[string]int{
		tasks.JobPurge:         strings.Count(logs, "msg=purged"),
		tasks.JobReadTemplates: int(w.report.Calls[sandbox.APIGetTemplates].Received),
	}
	var complaints []string
	for job, n := range done {
		if due[job] == 0 || due[job] != n {
			complaints = append(complaints, fmt.Sprintf("job %s was due %d times and ran %d times", job, due[job], n))
		}
	}
	return complaints, nil
}

// workerLogs is what all workers have written.
func (w *world) workerLogs() (string, error) {
	var all strings.Builder
	for _, m := range w.workers {
		text, err := os.ReadFile(filepath.Join(w.dir, m.name+".log"))
		if err != nil {
			return "", err
		}
		all.Write(text)
	}
	return all.String(), nil
}
