#include "control/store/etcd_client.h"

#include <algorithm>
#include <fmt/format.h>
#include <thread>

namespace penstock::store {
namespace {

constexpr std::chrono::milliseconds kPause{50};
constexpr int kMostBytes = 256 << 20;  // of an answer

// How long one endpoint of several may take.
EtcdClient::Clock::time_point share(const EtcdOptions& options,
                                    EtcdClient::Clock::time_point until) {
  const auto parts = static_cast<int>(std::min<size_t>(3, options.endpoints.size()));
  return std::min<EtcdClient::Clock::time_point>(
      until, EtcdClient::Clock::now() + options.time_limit / parts);
}

// The login is no longer good: nothing was done, and another may help.
bool logged_out(const grpc::Status& s) {
  return s.error_code() == grpc::StatusCode::UNAUTHENTICATED ||
         s.error_message().find("revision of auth store is old") != std::string::npos;
}

}  // namespace

Error EtcdClient::error_of(const grpc::Status& status) const {
  Fault fault = Fault::kUnavailable;
  if (status.error_code() == grpc::StatusCode::OUT_OF_RANGE) fault = Fault::kCompacted;
  if (status.error_code() == grpc::StatusCode::NOT_FOUND) fault = Fault::kNoLease;
  if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT ||
      status.error_code() == grpc::StatusCode::PERMISSION_DENIED ||
      status.error_code() == grpc::StatusCode::UNAUTHENTICATED)
    fault = Fault::kInvalid;
  return {fault, fmt::format("etcd {}: {}", options_.endpoints[endpoint_], status.error_message())};
}

void EtcdClient::turn_away() {
  endpoint_ = (endpoint_ + 1) % options_.endpoints.size();
  channel_.reset();
}

Result<void> EtcdClient::connect(Clock::time_point until) {
  for (size_t tried = 0;; tried++) {
    if (channel_ == nullptr) {
      grpc::ChannelArguments arguments;
      arguments.SetMaxReceiveMessageSize(kMostBytes);
      arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
      arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
      arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
      // A host that is gone says nothing: ask, or a watch would wait for ever. etcd allows every 5
      // s.
      arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
      arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
      channel_ = grpc::CreateCustomChannel(options_.endpoints[endpoint_], credentials_, arguments);
      kv_ = etcdserverpb::KV::NewStub(channel_);
      lease_ = etcdserverpb::Lease::NewStub(channel_);
      watch_ = etcdserverpb::Watch::NewStub(channel_);
      token_.clear();
    }
    if (channel_->WaitForConnected(deadline(share(options_, until)))) {
      if (options_.user.empty() || !token_.empty()) return {};
      const auto in = log_in(until);
      if (in || in.error().fault != Fault::kUnavailable) return in;
    }
    const std::string last = options_.endpoints[endpoint_];
    turn_away();
    if (Clock::now() + kPause >= until)
      return error(Fault::kUnavailable,
                   fmt::format("etcd {}: does not answer", fmt::join(options_.endpoints, ", ")));
    if (tried + 1 >= options_.endpoints.size()) std::this_thread::sleep_for(kPause);
  }
}

Result<void> EtcdClient::log_in(Clock::time_point until) {
  grpc::ClientContext context;
  context.set_deadline(deadline(share(options_, until)));
  etcdserverpb::AuthenticateRequest request;
  request.set_name(options_.user);
  request.set_password(options_.password);
  etcdserverpb::AuthenticateResponse response;
  const auto status =
      etcdserverpb::Auth::NewStub(channel_)->Authenticate(&context, request, &response);
  if (!status.ok()) return tl::unexpected(error_of(status));
  token_ = response.token();
  return {};
}

void EtcdClient::add_token(grpc::ClientContext& context) const {
  if (!token_.empty()) context.AddMetadata("token", token_);
}

grpc::Status EtcdClient::once(const Call& call, Clock::time_point until) {
  grpc::ClientContext context;
  context.set_deadline(deadline(until));
  add_token(context);
  return call(context);
}

Result<void> EtcdClient::say(const Call& call) {
  const auto until = Clock::now() + options_.time_limit;
  for (bool again = true;; again = false) {
    if (const auto there = connect(until); !there) return there;
    const grpc::Status status = once(call, until);
    if (status.ok()) return {};
    const bool out = logged_out(status) && !options_.user.empty();
    if (out) token_.clear();
    if (out && again) continue;
    const Error what = error_of(status);
    if (what.fault == Fault::kUnavailable) turn_away();
    return tl::unexpected(what);
  }
}

Result<void> EtcdClient::ask(const Call& call) {
  const auto until = Clock::now() + options_.time_limit;
  for (bool again = true;;) {
    if (const auto there = connect(until); !there) return there;
    const grpc::Status status = once(call, share(options_, until));
    if (status.ok()) return {};
    if (logged_out(status) && !options_.user.empty()) {
      token_.clear();
      if (std::exchange(again, false)) continue;
    }
    const Error what = error_of(status);
    if (what.fault != Fault::kUnavailable) return tl::unexpected(what);
    turn_away();
    if (Clock::now() + kPause >= until) return tl::unexpected(what);
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace penstock::store
