#include "control/store/etcd_store.h"

#include <algorithm>
#include <fmt/format.h>
#include <fstream>
#include <iterator>

#include "control/store/etcd_client.h"

namespace penstock::store {
namespace {

namespace pb = etcdserverpb;
constexpr int64_t kPage = 1000;

// The first key behind all that begin with the prefix; keys are ASCII.
std::string end_of(std::string prefix) {
  if (prefix.empty()) return std::string(1, '\0');  // etcd's word for all
  prefix.back()++;
  return prefix;
}

std::string begin_of(const std::string& prefix) {
  return prefix.empty() ? std::string(1, '\0') : prefix;
}

class EtcdWatch : public Watch {
 public:
  EtcdWatch(EtcdClient& client, const std::string& prefix, uint64_t after) : client_(client) {
    client.add_token(context_);
    context_.AddMetadata("hasleader", "true");  // ends when its endpoint has lost the others
    auto& create = *request_.mutable_create_request();
    create.set_key(begin_of(prefix));
    create.set_range_end(end_of(prefix));
    create.set_start_revision(static_cast<int64_t>(after) + 1);
    stream_ = client.watch().PrepareAsyncWatch(&context_, &queue_);
    stream_->StartCall(nullptr);
  }
  ~EtcdWatch() override {
    context_.TryCancel();
    queue_.Shutdown();
    void* tag = nullptr;
    for (bool ok = false; queue_.Next(&tag, &ok);) {
    }
  }

  // One operation is on its way at any time: start, write, read, read, ... finish.
  Result<std::vector<Event>> next(std::chrono::milliseconds wait) override {
    const auto until = EtcdClient::Clock::now() + wait;
    void* tag = nullptr;
    bool ok = false;
    while (state_ != kOver && queue_.AsyncNext(&tag, &ok, EtcdClient::deadline(until)) ==
                                  grpc::CompletionQueue::GOT_EVENT) {
      if (state_ == kFinish) {
        state_ = kOver;
      } else if (!ok) {
        state_ = kFinish;
        stream_->Finish(&status_, nullptr);
      } else if (state_ == kStart) {
        state_ = kWrite;
        stream_->Write(request_, nullptr);
      } else if (state_ == kWrite) {
        state_ = kRead;
        stream_->Read(&response_, nullptr);
      } else {
        const pb::WatchResponse got = std::move(response_);
        response_.Clear();
        stream_->Read(&response_, nullptr);
        if (got.compact_revision() != 0)
          return error(Fault::kCompacted,
                       fmt::format("etcd: the changes before revision {} are forgotten",
                                   got.compact_revision()));
        if (got.canceled())
          return error(Fault::kUnavailable, "etcd: the watch was ended: " + got.cancel_reason());
        if (got.events_size() != 0) return events_of(got);
      }
    }
    if (state_ != kOver) return std::vector<Event>{};
    client_.turn_away();
    return tl::unexpected(client_.error_of(status_));
  }

 private:
  std::vector<Event> events_of(const pb::WatchResponse& got) const {
    std::vector<Event> events;
    for (const pb::Event& e : got.events()) {
      const pb::KeyValue& kv = e.kv();
      if (!kv.key().starts_with(client_.options().prefix)) continue;  // nothing that we asked for
      events.push_back(
          {{kv.key().substr(client_.options().prefix.size()), kv.value(),
            static_cast<uint64_t>(kv.mod_revision()), static_cast<uint64_t>(kv.lease())},
           e.type() == pb::Event::DELETE});
    }
    return events;
  }

  EtcdClient& client_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  pb::WatchRequest request_;
  pb::WatchResponse response_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<pb::WatchRequest, pb::WatchResponse>> stream_;
  enum { kStart, kWrite, kRead, kFinish, kOver } state_ = kStart;
};

class EtcdStore : public Store {
 public:
  EtcdStore(const EtcdOptions& options, std::shared_ptr<grpc::ChannelCredentials> credentials)
      : client_(options, std::move(credentials)) {}

  Result<Contents> range(std::string_view prefix) override {
    Contents all;
    pb::RangeRequest request;
    const std::string whole = client_.options().prefix + std::string(prefix);
    request.set_key(begin_of(whole));
    request.set_range_end(end_of(whole));
    request.set_limit(kPage);
    pb::RangeResponse response;
    do {
      const auto done = client_.ask(
          [&](grpc::ClientContext& c) { return client_.kv().Range(&c, request, &response); });
      if (!done) return tl::unexpected(done.error());
      // All pages as of one revision.
      if (request.revision() == 0) request.set_revision(response.header().revision());
      for (const pb::KeyValue& kv : response.kvs()) {
        if (kv.key() < request.key() || !kv.key().starts_with(whole))
          return error(Fault::kUnavailable, "etcd answers with keys that nobody asked for");
        all.entries.push_back({kv.key().substr(client_.options().prefix.size()), kv.value(),
                               static_cast<uint64_t>(kv.mod_revision()),
                               static_cast<uint64_t>(kv.lease())});
      }
      if (response.kvs_size() != 0)
        request.set_key(response.kvs(response.kvs_size() - 1).key() + '\0');
    } while (response.more() && response.kvs_size() != 0);
    all.revision = static_cast<uint64_t>(request.revision());
    return all;
  }

  Result<Outcome> txn(const Txn& txn) override {
    if (const auto good = check(txn); !good) return tl::unexpected(good.error());
    const std::string& prefix = client_.options().prefix;
    pb::TxnRequest request;
    for (const Condition& c : txn.conditions) {
      auto& compare = *request.add_compare();
      compare.set_target(pb::Compare::MOD);
      compare.set_key(prefix + c.key);
      compare.set_mod_revision(static_cast<int64_t>(c.revision));
    }
    for (const Write& w : txn.writes) {
      auto& op = *request.add_success();
      if (w.remove) {
        op.mutable_request_delete_range()->set_key(prefix + w.key);
        continue;
      }
      auto& put = *op.mutable_request_put();
      put.set_key(prefix + w.key);
      put.set_value(w.value);
      put.set_lease(static_cast<int64_t>(w.lease));
    }
    pb::TxnResponse response;
    const auto done = client_.say(
        [&](grpc::ClientContext& c) { return client_.kv().Txn(&c, request, &response); });
    if (!done) return tl::unexpected(done.error());
    return Outcome{response.succeeded(), static_cast<uint64_t>(response.header().revision())};
  }

  Result<std::unique_ptr<Watch>> watch(std::string_view prefix, uint64_t after) override {
    if (const auto there = client_.connect(EtcdClient::Clock::now() + client_.options().time_limit);
        !there)
      return tl::unexpected(there.error());
    return std::make_unique<EtcdWatch>(client_, client_.options().prefix + std::string(prefix),
                                       after);
  }

  Result<Lease> grant(std::chrono::milliseconds ttl) override {
    pb::LeaseGrantRequest request;
    request.set_ttl(std::chrono::ceil<std::chrono::seconds>(ttl).count());
    pb::LeaseGrantResponse response;
    const auto done = client_.say(
        [&](grpc::ClientContext& c) { return client_.lease().LeaseGrant(&c, request, &response); });
    if (!done) return tl::unexpected(done.error());
    return Lease{static_cast<uint64_t>(response.id()), std::chrono::seconds(response.ttl())};
  }

  Result<void> keep_alive(uint64_t lease) override {
    pb::LeaseKeepAliveResponse response;
    const auto done = client_.ask([&](grpc::ClientContext& c) {
      const auto stream = client_.lease().LeaseKeepAlive(&c);
      pb::LeaseKeepAliveRequest request;
      request.set_id(static_cast<int64_t>(lease));
      const bool answered = stream->Write(request) && stream->Read(&response);
      stream->WritesDone();
      if (answered) c.TryCancel();  // it would wait for more of them
      const grpc::Status status = stream->Finish();
      return answered      ? grpc::Status::OK
             : status.ok() ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "no answer")
                           : status;
    });
    if (!done) return done;
    if (response.ttl() <= 0)
      return error(Fault::kNoLease, fmt::format("etcd: lease {} is over", lease));
    return {};
  }

  Result<void> revoke(uint64_t lease) override {
    pb::LeaseRevokeRequest request;
    request.set_id(static_cast<int64_t>(lease));
    pb::LeaseRevokeResponse response;
    return client_.say([&](grpc::ClientContext& c) {
      return client_.lease().LeaseRevoke(&c, request, &response);
    });
  }

 private:
  EtcdClient client_;
};

Result<std::string> pem(const std::string& path) {
  if (path.empty()) return std::string();
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (!in.is_open() || in.bad() || text.empty())
    return error(Fault::kInvalid, path + ": cannot be read");
  return text;
}

}  // namespace

Result<std::unique_ptr<Store>> open_etcd(const EtcdOptions& options) {
  if (options.endpoints.empty()) return error(Fault::kInvalid, "etcd has no endpoints");
  if (!std::ranges::all_of(options.prefix, [](char c) { return c > ' ' && c < 0x7f; }))
    return error(Fault::kInvalid, "a prefix of etcd's keys is printable ASCII without blanks");
  auto credentials = grpc::InsecureChannelCredentials();
  if (!options.ca.empty()) {
    const auto ca = pem(options.ca);
    const auto certificate = pem(options.certificate);
    const auto key = pem(options.key);
    for (const auto* part : {&ca, &certificate, &key})
      if (!*part) return tl::unexpected(part->error());
    credentials = grpc::SslCredentials(
        {.pem_root_certs = *ca, .pem_private_key = *key, .pem_cert_chain = *certificate});
  }
  return std::make_unique<EtcdStore>(options, std::move(credentials));
}

}  // namespace penstock::store
