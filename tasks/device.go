package tasks

import (
	"fmt"
	"slices"
	"strings"
)

// MaxOpenIDs is how many users one device message can have. WeChat publishes no bound
// and answers 40032 above its own.
const MaxOpenIDs = 20

const (
	maxSN      = 128 // bytes: WeChat answers 9800001 above
	maxModelID = 64  // bytes; WeChat's own are shorter
)

var (
	detailOpenIDs = fmt.Sprintf("1 to %d different openids of this app, each at most %d letters, digits, '_' or '-'", MaxOpenIDs, maxOpaque)
	detailSN      = fmt.Sprintf("required with kind device: the device's serial number as at subscription, at most %d letters, digits, '_' or '-'", maxSN)
	detailModelID = fmt.Sprintf("required with kind device: the model's id from the WeChat console as at subscription, at most %d visible characters", maxModelID)
)

// All lists the openids; none as long as only a login code is known.
func (r Recipient) All() []string {
	switch {
	case len(r.OpenIDs) > 0:
		return r.OpenIDs
	case r.OpenID != "":
		return []string{r.OpenID}
	}
	return nil
}

// Key stands for all recipients together: the openid, or for several a text that is no
// openid. The ledger keeps one record under it, whose tag tells nobody's openid. Apply
// WithDefaults first, so that the order in which several were named does not matter.
func (r Recipient) Key() string {
	if len(r.OpenIDs) > 0 {
		return "openids:" + strings.Join(r.OpenIDs, ",")
	}
	return r.OpenID
}

// inOrder returns the recipients in the one way they are stored: a single openid as
// such, several sorted.
func (r Recipient) inOrder() Recipient {
	switch {
	case len(r.OpenIDs) == 1 && r.OpenID == "":
		r.OpenID, r.OpenIDs = r.OpenIDs[0], nil
	case len(r.OpenIDs) > 1 && !slices.IsSorted(r.OpenIDs):
		r.OpenIDs = slices.Sorted(slices.Values(r.OpenIDs))
	}
	return r
}

// device checks the fields that only KindDevice has, but for the recipients.
func (v *validation) device(n Notification) {
	if n.Kind != KindDevice {
		v.check(n.SN == "", "sn", "belongs to kind device: leave it out")
		v.check(n.ModelID == "", "model_id", "belongs to kind device: leave it out")
		return
	}
	v.check(n.SN != "" && len(n.SN) <= maxSN && allBytes(n.SN, isOpaqueByte), "sn", detailSN)
	v.check(len(n.ModelID) <= maxModelID && visible(n.ModelID), "model_id", detailModelID)
}

// devices checks the recipients of KindDevice as they were given.
func (v *validation) devices(to Recipient) {
	switch {
	case to.Code != "":
		v.add("to.code", "kind device knows no login codes: name the users in to.openids")
	case to.OpenID != "" && len(to.OpenIDs) > 0:
		v.add("to", "name the users by openid or by openids, not by both")
	case to.OpenID != "":
		v.check(validOpaque(to.OpenID), "to.openid", detailOpenID)
	default:
		v.check(validOpenIDs(to.OpenIDs), "to.openids", detailOpenIDs)
	}
}

func validOpenIDs(list []string) bool {
	sorted := slices.Sorted(slices.Values(list))
	return len(list) > 0 && len(list) <= MaxOpenIDs && len(slices.Compact(sorted)) == len(list) &&
		!slices.ContainsFunc(list, func(id string) bool { return !validOpaque(id) })
}
