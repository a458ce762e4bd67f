package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	// maxOpenIDs bounds the users of one device message. WeChat publishes no number.
	maxOpenIDs = 20
	maxSN      = 128 // bytes
	// maxDevices bounds the devices kept for each app.
	maxDevices = 1 << 20
)

// Device says with which model the users of a device subscribed.
type Device struct {
	SN      string `json:"sn"`
	ModelID string `json:"model_id"`
}

// SetDevice makes a device known: its messages must name this model from now on, or are answered 9800006.
func (s *Server) SetDevice(appID string, d Device) error {
	switch {
	case d.SN == "":
		return errors.New("sandbox: sn: must not be empty")
	case d.ModelID == "":
		return errors.New("sandbox: model_id: must not be empty")
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.devices[d.SN]; !ok && len(a.devices) >= maxDevices {
		return fmt.Errorf("sandbox: app %s: devices: no room for more than %d", a.cfg.AppID, maxDevices)
	}
	a.devices[d.SN] = d.ModelID
	return nil
}

func (s *Server) controlDevice(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Device
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetDevice(req.App, req.Device)
}

// deviceMessage is the body of a device message. The model comes under either name.
type deviceMessage struct {
	message
	ToOpenIDs []string `json:"to_openid_list"`
	SN        string   `json:"sn"`
	ModelID   string   `json:"modelId"`
	ModelID2  string   `json:"model_id"`
}

// serveDevice answers POST /cgi-bin/message/device/subscribe/send.
func (s *Server) serveDevice(w http.ResponseWriter, r *http.Request) {
	s.servePosted(w, r, APIDeviceSend, func(a *app, body []byte) (posted, bool) {
		var m deviceMessage
		if json.Unmarshal(body, &m) != nil {
			return posted{}, false
		}
		m.ModelID = cmp.Or(m.ModelID, m.ModelID2)
		m.ToUser = strings.Join(m.ToOpenIDs, ",")
		return posted{id: m.name(a.cfg.IDKey), judge: func(now time.Time) answer { return a.judgeDevice(m, now) }}, true
	})
}

// judgeDevice decides on a device message. a.mu is held.
func (a *app) judgeDevice(m deviceMessage, now time.Time) answer {
	code := a.checkDevice(m)
	if code == 0 {
		code = a.checkEach(m)
	}
	if code == 0 {
		code = checkWording(m.message)
	}
	if code != 0 {
		return refusal(now, APIDeviceSend, code, "")
	}
	if key := a.templates[m.TemplateID].badKey(m.Data); key != "" {
		return refusalText(now, 47003, "argument invalid! data."+key+".value")
	}
	switch {
	case a.templates[m.TemplateID].Blocked:
		code = 43107
	case slices.ContainsFunc(m.ToOpenIDs, func(openid string) bool { return a.refuses(openid, m.TemplateID) }):
		code = 43101
	default:
		code = a.charge(APIDeviceSend, now)
	}
	if code != 0 {
		return refusal(now, APIDeviceSend, code, "")
	}
	return ok()
}

// checkDevice judges how many it is for, and which device it is about.
func (a *app) checkDevice(m deviceMessage) int {
	model, known := a.devices[m.SN]
	switch {
	case len(m.ToOpenIDs) == 0 || len(m.ToOpenIDs) > maxOpenIDs:
		return 40032
	case len(m.SN) > maxSN:
		return 9800001
	case m.SN == "" || strings.ContainsFunc(m.SN, func(r rune) bool { return !snRune(r) }):
		return 9800002
	case m.ModelID == "":
		return 9800003
	case known && model != m.ModelID:
		return 9800006
	}
	return 0
}

func snRune(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r == '_' || r == '-'
}

// checkEach judges users, template and page.
func (a *app) checkEach(m deviceMessage) int {
	for _, openid := range m.ToOpenIDs {
		m.ToUser = openid
		if code := a.checkTarget(m.message); code != 0 {
			return code
		}
	}
	return 0
}

// refuses tells whether a user's standing subscription to a device is refused, or was never given where that is needed.
func (a *app) refuses(openid, template string) bool {
	allowed := a.users.consent(openid, template, true)
	return allowed == nil || !allowed.allows()
}
