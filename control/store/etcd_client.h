// EtcdClient: a call to one of several endpoints, with TLS and login. Included by etcd_store.cc
// only: gRPC is slow to compile.
#pragma once

#include <functional>
#include <grpcpp/grpcpp.h>

#include "control/store/etcd.grpc.pb.h"
#include "control/store/etcd_store.h"

namespace penstock::store {

class EtcdClient {
 public:
  using Clock = std::chrono::steady_clock;
  using Call = std::function<grpc::Status(grpc::ClientContext&)>;

  EtcdClient(EtcdOptions options, std::shared_ptr<grpc::ChannelCredentials> credentials)
      : options_(std::move(options)), credentials_(std::move(credentials)) {}

  const EtcdOptions& options() const { return options_; }
  etcdserverpb::KV::Stub& kv() { return *kv_; }
  etcdserverpb::Lease::Stub& lease() { return *lease_; }
  etcdserverpb::Watch::Stub& watch() { return *watch_; }

  // gRPC's deadlines are of the wall clock, which may be set while we wait: made anew for each
  // wait.
  static std::chrono::system_clock::time_point deadline(Clock::time_point until) {
    return std::chrono::system_clock::now() + (until - Clock::now());
  }

  // What may be said twice: goes round the endpoints until one answers or time is up.
  Result<void> ask(const Call& call);
  // What may not: said once, to an endpoint that is connected. No answer: nobody knows.
  Result<void> say(const Call& call);
  // An endpoint that is connected, logged in; then the stubs are there.
  Result<void> connect(Clock::time_point until);
  void add_token(grpc::ClientContext& context) const;
  // This one is no good: the next call goes to the next.
  void turn_away();
  Error error_of(const grpc::Status& status) const;

 private:
  Result<void> log_in(Clock::time_point until);
  grpc::Status once(const Call& call, Clock::time_point until);

  const EtcdOptions options_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  size_t endpoint_ = 0;
  std::shared_ptr<grpc::Channel> channel_;  // null: to be made
  std::unique_ptr<etcdserverpb::KV::Stub> kv_;
  std::unique_ptr<etcdserverpb::Lease::Stub> lease_;
  std::unique_ptr<etcdserverpb::Watch::Stub> watch_;
  std::string token_;
};

}  // namespace penstock::store
