package sandbox

// help is what GET /_sandbox/ answers.
const help = `WeChat sandbox. Set your client's WeChat base URL to this server. Served as WeChat does:

  GET  /cgi-bin/token            POST /cgi-bin/stable_token            POST /cgi-bin/message/subscribe/send
  GET  /sns/jscode2session       GET  /wxaapi/newtmpl/gettemplate      POST /cgi-bin/message/wxopen/template/send
  POST /cgi-bin/clear_quota      POST /cgi-bin/openapi/quota/get      POST /cgi-bin/message/device/subscribe/send
  POST /wxa/set_user_notify      POST /wxa/set_user_notifyext         POST /wxa/get_user_notify

Control API: JSON in, JSON out, errors as {"error": "..."}. "app" may be left out where it says [app]: every app.

GET  /_sandbox/report            what was received, by call and by app, and how fast: total, mean, busiest second and largest
                                 gap of each kind of message; ?ids=1 adds every message
POST /_sandbox/reset             forget what was received; apps, tokens, users and all settings stay
GET  /_sandbox/faults?app=APPID  the faults of an app; without app, those last set for every app
PUT  /_sandbox/faults            replace the faults [app]
POST /_sandbox/tokens:kill       end the working tokens now: 40001 afterwards [app]; mode stable, classic or absent
PUT  /_sandbox/users             what one user allows: credits, refused, or nothing to clear; template_id for one template;
                                 high_risk makes logins answer 40226
POST /_sandbox/users:answer      a user answers: results {template: accept or reject}, event popup or change, time; or several
                                 in "answers"; their events are pushed, with repeat, shuffle, or "push":false not at all
PUT  /_sandbox/templates         add or replace a template: template_id, keys, type (2 one-time, 3 long-term), enums {key: [values]},
                                 title, content, example; from then on its values are judged by their types
PUT  /_sandbox/form-ids          make a form id known: openid, form_id, uses (1), expires_in ("168h"), used
PUT  /_sandbox/retired           whether every template message is answered 45103
PUT  /_sandbox/codes             make a login code known: openid, code, expires_in ("5m"); POST makes a code and answers it
PUT  /_sandbox/devices           a device and its model: sn, model_id; messages that name another model are answered 9800006
PUT  /_sandbox/cards             make the code of a service card known, or change it: openid, notify_type, notify_code, known_in
                                 (85437 until then), expires_in, banned, locked, code_state; denied: no card of this type
PUT  /_sandbox/callback          where events are pushed: url (empty: nowhere), token, aes_key, mode plain, compatible or
                                 safe, format json or xml
PUT  /_sandbox/receipts          what is pushed about subscribe messages: mode deliver, fail or off, error_code,
                                 error_status, before_answer, repeat, delay
POST /_sandbox/events            push any event: event, openid, body with its own fields
PUT  /_sandbox/quotas            replace the quotas [app]; 0 or absent is no limit, a call not named has WeChat's own
POST /_sandbox/apps              add an app

Faults. A share is a part of all arrivals, from 0 to 1. Which arrivals meet it depends on the seed alone.
  not processed: drop, hang, unavailable (503 page), bad_gateway (502 page); "down" takes one of these for every call
  accepted, but the answer is lost: lost_cut, lost_hang, lost_bad_gateway, garbled, truncated, half_open
  "quota_answers": what get_quota answers as the quota of a call, any JSON

Examples
  curl -X POST localhost:8082/_sandbox/apps -d '{"app_id":"wx1","secret":"s","allow_any_openid":true,
    "templates":[{"template_id":"T","keys":["thing1","character_string2"]}],"id_key":"character_string2"}'
  curl -X PUT localhost:8082/_sandbox/faults -d '{"calls":{"subscribe_send":{"latency":"20ms","jitter":"10ms",
    "errcodes":{"-1":0.01},"shares":{"lost_cut":0.005}}}}'
  curl -X PUT localhost:8082/_sandbox/faults -d '{"next":[{"api":"token","errcode":40164,"count":3},
    {"api":"subscribe_send","do":"lost_hang"}]}'
  curl -X PUT localhost:8082/_sandbox/faults -d '{"down":"unavailable"}'
  curl -X PUT localhost:8082/_sandbox/faults -d '{"quota_answers":{"subscribe_send":{"daily_limit":10,"used":5,"remain":-1}}}'
  curl -X PUT localhost:8082/_sandbox/faults -d '{}'
  curl -X PUT localhost:8082/_sandbox/users -d '{"app":"wx1","openid":"o1","template_id":"T","credits":2}'
  curl -X POST localhost:8082/_sandbox/users:answer -d '{"app":"wx1","openid":"o1","results":{"T":"accept"}}'
  curl -X PUT localhost:8082/_sandbox/form-ids -d '{"app":"wx1","openid":"o1","form_id":"f1","uses":3}'
  curl -X POST localhost:8082/_sandbox/codes -d '{"app":"wx1","openid":"o1"}'
  curl -X PUT localhost:8082/_sandbox/templates -d '{"app":"wx1","template_id":"L","keys":["thing1"],"type":3}'
  curl -X PUT localhost:8082/_sandbox/cards -d '{"app":"wx1","openid":"o1","notify_type":2010,"notify_code":"n1","known_in":"1m"}'
  curl -X PUT localhost:8082/_sandbox/callback -d '{"app":"wx1","url":"http://localhost:8080/wechat/wx1","token":"t"}'
  curl -X POST localhost:8082/_sandbox/events -d '{"app":"wx1","event":"notify_service_msg_send_result","openid":"o1",
    "body":{"openid":"o1","notify_type":2010,"notify_code":"n1","card_status":1,"fail_ret":-1004,"fail_msg":"refused"}}'
  curl -X PUT localhost:8082/_sandbox/receipts -d '{"app":"wx1","mode":"fail","delay":"2s"}'
  curl -X PUT localhost:8082/_sandbox/quotas -d '{"calls":{"subscribe_send":{"per_second":50,"per_day":1000}}}'
  curl -X POST localhost:8082/_sandbox/tokens:kill -d '{"app":"wx1","mode":"stable"}'
  curl localhost:8082/_sandbox/report?ids=1
`
