package main

import "time"

// rows are all kinds of trouble, in the order of the table. Half of the notifications
// of each are dropped, and half sent once more, when nobody knows what became of an
// attempt.
func rows() []row {
	all := [][]row{killRows(), redisRows(), networkRows(), otherRows()}
	var list []row
	for _, group := range all {
		list = append(list, group...)
	}
	for i := range list {
		if list[i].redis == nil {
			list[i].redis = everysec
		}
	}
	return list
}

// brief is a latency of the sandbox that keeps a few sends in flight.
const brief = 150 * time.Millisecond

func killRows() []row {
	return []row{
		{number: "1", what: "kill -9 before admission", binary: deadly, failpoint: "before-admission", latency: brief,
			trouble: dieAtFailpoint, kills: 24},
		{number: "2", what: "kill -9 after admission", short: true, binary: deadly, failpoint: "admitted", latency: brief,
			trouble: dieAtFailpoint, kills: 24, unknownPerKill: true},
		{number: "3", what: "kill -9, request written", latency: time.Second,
			trouble: killInFlight, kills: 24, unknownPerKill: true},
		{number: "4", what: "kill -9, answer read", binary: deadly, failpoint: "answered", latency: brief,
			trouble: dieAtFailpoint, kills: 24, unknownPerKill: true},
		{number: "5", what: "kill -9, settled, not acknowledged", short: true, binary: deadly, failpoint: "settled", latency: brief,
			trouble: dieAtFailpoint, kills: 24},
		{number: "6", what: "kill -9 at random, gateway too", short: true, workers: 3, latency: brief,
			trouble: killAtRandom, kills: 72},
	}
}

func redisRows() []row {
	return []row{
		{number: "7", what: "Redis shut down and started", short: true, latency: brief,
			trouble: shutRedisDown, redisFaults: 7},
		{number: "8", what: "Redis paused, up to 6 s", latency: brief,
			trouble: pauseRedis, redisFaults: 8},
		{number: "9a", what: "Redis kill -9, appendfsync always", redis: always, latency: brief,
			trouble: killRedis, redisFaults: 7},
		{number: "9b", what: "Redis kill -9, appendfsync everysec", latency: brief,
			trouble: killRedis, redisFaults: 7, mayForget: true},
		{number: "10", what: "Sentinel fails over", redis: underSentinel, latency: brief,
			trouble: failOver, redisFaults: 2, mayForget: true},
		{number: "11", what: "a cluster master kill -9", redis: inCluster, latency: brief,
			trouble: killMaster, redisFaults: 2, mayForget: true},
	}
}

func networkRows() []row {
	return []row{
		{number: "12", what: "network to Redis: late, cut, half-open, deaf", short: true, proxied: redisSide, latency: brief,
			trouble: disturbNetwork, otherFaults: 8},
		{number: "13", what: "network to WeChat: the same", proxied: wechatSide, latency: brief,
			trouble: disturbNetwork, otherFaults: 8},
	}
}

func otherRows() []row {
	return []row{
		{number: "14", what: "token rotated by others", short: true, latency: brief,
			trouble: rotateToken, otherFaults: 20, check: nothingUnknown},
		{number: "15", what: "5 % each of 502, -1, lost answers, 43108", short: true, latency: brief,
			trouble: misbehave, otherFaults: 120},
		{number: "16", what: "clocks 10 minutes apart, SIGTERM", binary: skewed, env: fiveMinutesWrong, latency: time.Second,
			trouble: rollFirst, otherFaults: 6, check: nothingUnknown},
		{number: "17", what: "three schedules at once, SIGTERM", workers: 3, env: everyMinute, latency: brief,
			trouble: rollAll, otherFaults: 6, check: eachJobRanOnce},
		{number: "18", what: "SIGTERM rolling through the workers", short: true, workers: 3, latency: time.Second,
			trouble: rollAll, otherFaults: 6, check: nothingUnknown},
		{number: "19", what: "SIGSTOP past the lease, SIGCONT", workers: 4, latency: 2 * time.Second,
			trouble: freeze, otherFaults: 2},
		{number: "20", what: "the rate, under kill -9", short: true, workers: 3, latency: brief, rate: 30, hurry: 4,
			trouble: killAtRandom, kills: 24},
	}
}
