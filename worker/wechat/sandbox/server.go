package sandbox

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Names of the calls, as faults, quotas and reports use them.
const (
	APIToken         = "token"
	APIStableToken   = "stable_token"
	APISubscribeSend = "subscribe_send"
	APITemplateSend  = "template_send"
	APICodeToSession = "code_to_session"
	APIGetTemplates  = "get_templates"
	APIGetQuota      = "get_quota"
	APIClearQuota    = "clear_quota"

	APIDeviceSend       = "device_send"
	APISetUserNotify    = "set_user_notify"
	APISetUserNotifyExt = "set_user_notify_ext"
	APIGetUserNotify    = "get_user_notify"
)

// apis lists every call in the order the help names them.
func apis() []string {
	return []string{
		APIToken, APIStableToken, APISubscribeSend, APITemplateSend, APICodeToSession, APIGetTemplates, APIGetQuota, APIClearQuota,
		APIDeviceSend, APISetUserNotify, APISetUserNotifyExt, APIGetUserNotify,
	}
}

// isSend tells whether a call sends a message to a user.
func isSend(api string) bool {
	switch api {
	case APISubscribeSend, APITemplateSend, APIDeviceSend, APISetUserNotify, APISetUserNotifyExt:
		return true
	}
	return false
}

// takesSecret tells whether a call is made with the app's secret rather than with a token.
func takesSecret(api string) bool {
	return api == APIToken || api == APIStableToken || api == APICodeToSession
}

// defaultHangLimit bounds a hanging answer whose client never leaves.
const defaultHangLimit = time.Minute

// ErrUnknownApp is returned when a control call names an app the sandbox does not have.
var ErrUnknownApp = errors.New("sandbox: unknown app")

// Config says what a sandbox starts with.
type Config struct {
	// Apps are the Mini Programs known at the start. AddApp adds more.
	Apps []App
	// Seed decides every random choice of the faults.
	Seed int64
	// Now is the clock of tokens, quotas and arrival times. Latencies and hangs are always real time. Default time.Now.
	Now func() time.Time
	// HangLimit ends a hanging answer whose client does not leave. Default one minute.
	HangLimit time.Duration
	// PushTimeout is how long a push waits for its answer. Default five seconds, as WeChat's.
	PushTimeout time.Duration
}

// App is one Mini Program the sandbox plays the server of. Its slices must not be changed once it was handed over.
type App struct {
	// AppID and Secret are what the token calls must be given. Required.
	AppID  string `json:"app_id"`
	Secret string `json:"secret"`
	// Templates are the known templates; any other is answered 40037 unless AllowAnyTemplate is set.
	Templates        []Template `json:"templates,omitempty"`
	AllowAnyTemplate bool       `json:"allow_any_template,omitempty"`
	// OpenIDs are the known users; any other is answered 40003 unless AllowAnyOpenID is set.
	OpenIDs        []string `json:"openids,omitempty"`
	AllowAnyOpenID bool     `json:"allow_any_openid,omitempty"`
	// Pages are the pages of the released version, without query; any other is answered 41030. Empty: every page exists.
	Pages []string `json:"pages,omitempty"`
	// SensitiveWords in a data value are answered 45168.
	SensitiveWords []string `json:"sensitive_words,omitempty"`
	// Credits is how many messages every user allows for each one-time template at first. 0: without end.
	Credits int64 `json:"credits,omitempty"`
	// ConsentNeeded makes every send answer 43101 until its user has accepted the template. It excludes Credits.
	ConsentNeeded bool `json:"consent_needed,omitempty"`
	// AnyFormID takes a form id that was never made known as a fresh one of the user it is sent with.
	AnyFormID bool `json:"any_form_id,omitempty"`
	// AnyCode exchanges a login code that was never made known, once, for an openid derived from it.
	AnyCode bool `json:"any_code,omitempty"`
	// AnyCardCode takes the code of a service card that was never made known as a fresh one of its user.
	AnyCardCode bool `json:"any_card_code,omitempty"`
	// Retired makes every template message answer 45103, as WeChat does since 2020.
	Retired bool `json:"retired,omitempty"`
	// Callback is where events are pushed to. Without a URL nothing is pushed.
	Callback Callback `json:"callback,omitzero"`
	// IDKey is the data key whose value names a message in the report. Empty: a hash of the message does.
	IDKey string `json:"id_key,omitempty"`
	// MsgIDString answers msgid as a JSON string instead of a number.
	MsgIDString bool `json:"msgid_string,omitempty"`
	// TokenLifetime is the life of a token, at least one second. Default 7200s, as WeChat's.
	TokenLifetime Duration `json:"token_lifetime,omitempty"`
}

// Server is the sandbox. It implements http.Handler and is safe for concurrent use.
type Server struct {
	now       func() time.Time
	hangLimit time.Duration
	seed      int64
	msgID     atomic.Int64
	control   map[string]map[string]controlFunc

	mu     sync.RWMutex
	byID   map[string]*app
	apps   []*app
	faults *faultPlan // what an app added later starts with
	quotas Quotas     // likewise
	pushes *office

	// stranger takes the calls that belong to no known app, so that they are counted and disturbed like the others.
	stranger *app
}

// New returns a sandbox. The error names the app that is wrong.
func New(cfg Config) (*Server, error) {
	s := &Server{
		now: cfg.Now, hangLimit: cfg.HangLimit, seed: cfg.Seed,
		byID: map[string]*app{}, faults: &faultPlan{}, quotas: defaultQuotas(),
		pushes: newOffice(cfg.PushTimeout),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.hangLimit <= 0 {
		s.hangLimit = defaultHangLimit
	}
	s.msgID.Store(time.Now().UnixNano()) // above 2^53, and not repeated by a sandbox started later
	s.control = s.controlRoutes()
	s.stranger = s.newApp(App{}, 0)
	for _, a := range cfg.Apps {
		if err := s.AddApp(a); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// AddApp makes one more app known. It starts with the faults and quotas last set for every app.
func (s *Server) AddApp(cfg App) error {
	if err := cfg.validate(); err != nil {
		return err
	}
	target, err := cfg.Callback.target(cfg.AppID)
	if err != nil {
		return fmt.Errorf("sandbox: app %s: callback.%w", cfg.AppID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.byID[cfg.AppID]; ok {
		return fmt.Errorf("sandbox: app %s: already there", cfg.AppID)
	}
	a := s.newApp(cfg, len(s.apps)+1)
	a.target = target
	s.byID[cfg.AppID] = a
	s.apps = append(s.apps, a)
	return nil
}

func (a App) validate() error {
	switch {
	case a.AppID == "":
		return errors.New("sandbox: app: app_id: must not be empty")
	case a.Secret == "":
		return fmt.Errorf("sandbox: app %s: secret: must not be empty", a.AppID)
	case a.Credits < 0:
		return fmt.Errorf("sandbox: app %s: credits: must not be negative", a.AppID)
	case a.Credits > 0 && a.ConsentNeeded:
		return fmt.Errorf("sandbox: app %s: credits, consent_needed: only one may be given", a.AppID)
	case len(a.Templates) > maxTemplates:
		return fmt.Errorf("sandbox: app %s: templates: must be at most %d", a.AppID, maxTemplates)
	case a.TokenLifetime != 0 && time.Duration(a.TokenLifetime) < time.Second:
		return fmt.Errorf("sandbox: app %s: token_lifetime: must be at least 1s", a.AppID)
	}
	for i, t := range a.Templates {
		if err := t.validate(); err != nil {
			return fmt.Errorf("sandbox: app %s: templates[%d].%w", a.AppID, i, err)
		}
	}
	return nil
}

// ServeHTTP answers WeChat's calls and the control API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch apiOf(r.URL.Path) {
	case APISubscribeSend:
		s.serveSend(w, r, APISubscribeSend, s.judgeSubscribe)
	case APITemplateSend:
		s.serveSend(w, r, APITemplateSend, s.judgeTemplate)
	case APIToken:
		s.serveToken(w, r)
	case APIStableToken:
		s.serveStableToken(w, r)
	case APICodeToSession:
		s.serveCodeToSession(w, r)
	case APIGetTemplates:
		s.serveGetTemplates(w, r)
	case APIGetQuota:
		s.serveQuota(w, r, APIGetQuota, judgeGetQuota)
	case APIClearQuota:
		s.serveQuota(w, r, APIClearQuota, judgeClearQuota)
	case APIDeviceSend:
		s.serveDevice(w, r)
	case APISetUserNotify:
		s.serveCard(w, r, APISetUserNotify, judgeCard)
	case APISetUserNotifyExt:
		s.serveCard(w, r, APISetUserNotifyExt, judgeCardExt)
	case APIGetUserNotify:
		s.serveCard(w, r, APIGetUserNotify, judgeGetCard)
	default:
		if strings.HasPrefix(r.URL.Path, controlPrefix) {
			s.serveControl(w, r)
			return
		}
		writePage(w, http.StatusNotFound)
	}
}

// appByID returns the app of that AppID, or the stranger.
func (s *Server) appByID(appID string) *app {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if a, ok := s.byID[appID]; ok {
		return a
	}
	return s.stranger
}

// appByToken returns the app whose number an access_token begins with, or the stranger.
func (s *Server) appByToken(token string) *app {
	number, _, _ := strings.Cut(token, "_")
	n, err := strconv.Atoi(number)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err != nil || n < 1 || n > len(s.apps) {
		return s.stranger
	}
	return s.apps[n-1]
}

// known returns the app of that AppID.
func (s *Server) known(appID string) (*app, error) {
	a := s.appByID(appID)
	if a == s.stranger {
		return nil, fmt.Errorf("%w: %s", ErrUnknownApp, appID)
	}
	return a, nil
}

// chosen returns the app of that AppID or, for an empty one, every app and the stranger. s.mu is held.
func (s *Server) chosen(appID string) ([]*app, error) {
	if appID == "" {
		return append([]*app{s.stranger}, s.apps...), nil
	}
	a, ok := s.byID[appID]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrUnknownApp, appID)
	}
	return []*app{a}, nil
}
