package sandbox

import (
	"strings"
	"testing"
)

func (b *bundle) answer(answers ...UserAnswer) {
	b.Helper()
	if err := b.s.Answer(testApp, answers, Pushing{}); err != nil {
		b.Fatal(err)
	}
}

func accepts(openid string) UserAnswer {
	return UserAnswer{OpenID: openid, Results: map[string]string{testTpl: Accept}}
}

func rejects(openid string) UserAnswer {
	return UserAnswer{OpenID: openid, Results: map[string]string{testTpl: Reject}}
}

// sendsAllowed sends until WeChat refuses, eight times at most, and returns how many were accepted.
func (b *bundle) sendsAllowed(openid, template string) int {
	b.Helper()
	token := b.stable(false).AccessToken
	body := strings.NewReplacer(testUser, openid, testTpl, template).Replace(sendBody("n"))
	for n := range 8 {
		if r := b.send(token, body); r.Errcode != 0 {
			b.wantCode(r, 43101)
			return n
		}
	}
	return 8
}

func TestAcceptancesAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.ConsentNeeded = true })
	want := func(n int) {
		t.Helper()
		if got := b.sendsAllowed(testUser, testTpl); got != n {
			t.Errorf("%d sends accepted, want %d", got, n)
		}
	}
	want(0)
	b.answer(accepts(testUser), accepts(testUser))
	b.answer(accepts(testUser))
	want(3)
	b.answer(accepts(testUser), accepts(testUser), rejects(testUser))
	want(0)
	b.answer(rejects(testUser), accepts(testUser))
	want(1)
	b.answer(accepts("oUser2"))
	want(0)
}

func TestLongTermStandsUntilRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*App){
		"needed":  func(a *App) { a.ConsentNeeded = true },
		"credits": func(a *App) { a.Credits = 1 },
		"open":    func(*App) {},
	} {
		b := setup(t, func(a *App) {
			change(a)
			a.Templates = append(a.Templates, Template{ID: "LONG", Keys: []string{"thing1", "character_string2"}, Type: LongTerm})
		})
		first := 8
		if name == "needed" {
			first = 0
		}
		long := func(result, event string) UserAnswer {
			return UserAnswer{OpenID: testUser, Results: map[string]string{"LONG": result}, Event: event}
		}
		got := []int{b.sendsAllowed(testUser, "LONG")}
		for _, u := range []UserAnswer{long(Accept, ""), long(Reject, AnswerChange), long(Accept, AnswerPopup)} {
			b.answer(u)
			got = append(got, b.sendsAllowed(testUser, "LONG"))
		}
		if got[0] != first || got[1] != 8 || got[2] != 0 || got[3] != 8 {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAnswersOnTopOfWhatWasSaid(t *testing.T) {
	t.Parallel()
	two := int64(2)
	for name, tc := range map[string]struct {
		change func(*App)
		said   User
		want   int
	}{
		"without end":         {nil, User{OpenID: testUser}, 1},
		"the app's credits":   {func(a *App) { a.Credits = 3 }, User{OpenID: testUser}, 4},
		"credits of all":      {nil, User{OpenID: testUser, Credits: &two}, 3},
		"credits of this one": {nil, User{OpenID: testUser, TemplateID: testTpl, Credits: &two}, 3},
		"refused":             {nil, User{OpenID: testUser, Refused: true}, 1},
	} {
		b := setup(t, tc.change)
		if err := b.s.SetUser(testApp, tc.said); err != nil {
			t.Fatal(err)
		}
		b.answer(accepts(testUser))
		if got := b.sendsAllowed(testUser, testTpl); got != tc.want {
			t.Errorf("%s: %d sends accepted, want %d", name, got, tc.want)
		}
	}
}

func TestAnswerMakesTheUserKnown(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.must("POST", "users:answer", `{"app":"wxtest","openid":"oNew","results":{"TPL1":"accept"}}`)
	if got := b.sendsAllowed("oNew", testTpl); got != 1 {
		t.Errorf("%d sends accepted", got)
	}
}

func TestWrongAnswersChangeNothing(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.ConsentNeeded = true })
	bad := UserAnswer{OpenID: testUser, Results: map[string]string{testTpl: "ban"}}
	if b.s.Answer(testApp, []UserAnswer{accepts(testUser), bad}, Pushing{}) == nil {
		t.Error("ban was taken")
	}
	if got := b.sendsAllowed(testUser, testTpl); got != 0 {
		t.Errorf("%d sends accepted", got)
	}
}

func TestAnswerBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	many := make([]UserAnswer, maxAnswerPushes/maxRepeat+1)
	for i := range many {
		many[i] = accepts(testUser)
	}
	for _, repeat := range []int{-1, maxRepeat, maxRepeat + 1, 1 << 62} {
		if b.s.Answer(testApp, many, Pushing{Repeat: repeat}) == nil {
			t.Errorf("repeat %d was taken", repeat)
		}
	}
}
