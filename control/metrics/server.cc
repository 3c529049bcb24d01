#include "control/metrics/server.h"

#include <civetweb.h>
#include <fmt/format.h>
#include <prometheus/text_serializer.h>
#include <pthread.h>
#include <string_view>
#include <utility>

#include "dataplane/base/clock.h"

namespace penstock {
namespace {

int answer(mg_connection* c, int status, const char* reason, std::string_view type,
           std::string_view body, const char* more = "") {
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}; charset=utf-8\r\nContent-Length: {}\r\n"
      "Cache-Control: no-store\r\nConnection: close\r\n{}\r\n",
      status, reason, type, body.size(), more);
  mg_write(c, head.data(), head.size());
  if (std::string_view(mg_get_request_info(c)->request_method) != "HEAD")
    mg_write(c, body.data(), body.size());
  return status;
}

// 0: go on.
int refuse_method(mg_connection* c) {
  const std::string_view method = mg_get_request_info(c)->request_method;
  if (method == "GET" || method == "HEAD") return 0;
  return answer(c, 405, "Method Not Allowed", "text/plain", "GET or HEAD\n",
                "Allow: GET, HEAD\r\n");
}

bool verbose(mg_connection* c) {
  const char* query = mg_get_request_info(c)->query_string;
  return query != nullptr && std::string_view(query).starts_with("verbose");
}

// What is wrong is said in any case.
int answer_checks(mg_connection* c, const std::vector<Check>& checks) {
  const bool good = all_good(checks);
  std::string body;
  for (const Check& one : checks)
    if (!one.good || verbose(c))
      body += fmt::format("[{}] {}: {}\n", one.good ? '+' : '-', one.name, one.text);
  body += good ? "ok\n" : "failed\n";
  return good ? answer(c, 200, "OK", "text/plain", body)
              : answer(c, 503, "Service Unavailable", "text/plain", body);
}

Check control_check(bool any, uint64_t age_ns) {
  const bool good = any && age_ns < MetricsServer::kFreshNs;
  return {.name = "control",
          .good = good,
          .text = !any   ? "the control thread has not come round yet"
                  : good ? "the control thread comes round"
                         : fmt::format("the control thread has not come round for {} s",
                                       age_ns / 1'000'000'000)};
}

}  // namespace

tl::expected<std::unique_ptr<MetricsServer>, std::string> MetricsServer::open(
    const std::string& listen) {
  std::unique_ptr<MetricsServer> server(new MetricsServer);
  mg_init_library(0);
  const std::string threads = std::to_string(kThreads), patience = std::to_string(kPatienceMs);
  const char* options[] = {"listening_ports",
                           listen.c_str(),
                           "num_threads",
                           threads.c_str(),
                           "request_timeout_ms",
                           patience.c_str(),
                           "max_request_size",
                           "4096",
                           "enable_keep_alive",
                           "no",
                           nullptr};
  mg_callbacks callbacks{};
  // Why it does not start is asked here; what it says later is about who asks, and not for a log.
  callbacks.log_message = [](const mg_connection* c, const char* text) {
    auto* self = static_cast<MetricsServer*>(mg_get_user_data(mg_get_context(c)));
    if (self == nullptr) return 1;
    const std::lock_guard lock(self->mutex_);
    if (self->fault_.empty()) self->fault_ = text;
    return 1;
  };
  callbacks.init_thread = [](const mg_context*, int) -> void* {
    pthread_setname_np(pthread_self(), "metrics");
    return nullptr;
  };
  mg_init_data init{&callbacks, server.get(), options};
  server->context_ = mg_start2(&init, nullptr);
  if (server->context_ == nullptr)
    return tl::unexpected(
        fmt::format("metrics.listen: cannot listen at {}: {}; free it or choose another", listen,
                    server->fault_.empty() ? "no reason given" : server->fault_));
  const std::pair<const char*, Handler> handlers[] = {
      {"/metrics$", on_metrics}, {"/livez$", on_live}, {"/readyz$", on_ready}, {"/", on_other}};
  for (const auto& [path, handler] : handlers)
    mg_set_request_handler(server->context_, path, handler, server.get());
  return server;
}

MetricsServer::~MetricsServer() {
  if (context_ != nullptr) mg_stop(context_);
  mg_exit_library();
}

void MetricsServer::publish(Report report) {
  auto fresh = std::make_shared<const Report>(std::move(report));
  const std::lock_guard lock(mutex_);
  report_.swap(fresh);
  reported_at_ = Clock::raw_ns();
}

MetricsServer::Latest MetricsServer::latest() const {
  const std::lock_guard lock(mutex_);
  return {report_, Clock::raw_ns() - reported_at_};
}

int MetricsServer::on_metrics(mg_connection* c, void* self) {
  if (const int refused = refuse_method(c)) return refused;
  const Latest last = static_cast<MetricsServer*>(self)->latest();
  const Check control = control_check(last.report != nullptr, last.age_ns);
  if (!control.good) return answer_checks(c, {control});
  return answer(c, 200, "OK", "text/plain; version=0.0.4",
                prometheus::TextSerializer().Serialize(last.report->metrics));
}

int MetricsServer::on_live(mg_connection* c, void* self) {
  if (const int refused = refuse_method(c)) return refused;
  const Latest last = static_cast<MetricsServer*>(self)->latest();
  std::vector<Check> checks;
  if (last.report != nullptr) checks = last.report->alive;
  checks.insert(checks.begin(), control_check(last.report != nullptr, last.age_ns));
  return answer_checks(c, checks);
}

int MetricsServer::on_ready(mg_connection* c, void* self) {
  if (const int refused = refuse_method(c)) return refused;
  const Latest last = static_cast<MetricsServer*>(self)->latest();
  std::vector<Check> checks;
  if (last.report != nullptr) checks = last.report->ready;
  checks.push_back(control_check(last.report != nullptr, last.age_ns));
  return answer_checks(c, checks);
}

int MetricsServer::on_other(mg_connection* c, void* /*self*/) {
  if (const int refused = refuse_method(c)) return refused;
  return answer(c, 404, "Not Found", "text/plain",
                "there are /metrics, /livez and /readyz, the last two also with ?verbose\n");
}

}  // namespace penstock
