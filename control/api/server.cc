#include "control/api/server.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <grp.h>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <sstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "control/api/control.grpc.pb.h"
#include "control/api/proto_json.h"

namespace penstock {
namespace {

namespace v1 = api::v1;

constexpr int kMostThreads = 32;  // calls that wait at the same time, more or less
constexpr int kMostRequestBytes = 4 << 20;
constexpr size_t kMostBytes = 256 << 20;  // of all calls
constexpr int kMostStreams = 16;          // calls at once of one connection
constexpr int kHandshakeMs = 10'000;
constexpr int kIdleMs = 300'000;
constexpr std::chrono::seconds kLongest{30};  // a call

grpc::StatusCode code_of(ApiFault fault) {
  switch (fault) {
    case ApiFault::kInvalid:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ApiFault::kRefused:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case ApiFault::kTimeout:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ApiFault::kBusy:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ApiFault::kGone:
      return grpc::StatusCode::UNAVAILABLE;
    case ApiFault::kUnknown:
      return grpc::StatusCode::UNIMPLEMENTED;
  }
  return grpc::StatusCode::INTERNAL;
}

class Service final : public v1::Control::Service {
 public:
  explicit Service(Requests& requests) : requests_(requests) {}

 private:
  using Context = grpc::ServerContext*;
  using Status = grpc::Status;
  using Nothing = const v1::Nothing*;

  // What gRPC knows of a deadline is the wall clock's.
  Status ask(const char* call, Context context, const google::protobuf::Message& request,
             google::protobuf::Message& answer) {
    if (context->IsCancelled())
      return Status::CANCELLED;  // who asked has gone while we stood still
    const auto left = std::min<std::chrono::system_clock::duration>(
        context->deadline() - std::chrono::system_clock::now(), kLongest);
    const ApiAnswer said = requests_.ask(call, to_json(request), Requests::Clock::now() + left);
    if (!said) return {code_of(said.error().fault), said.error().text};
    if (const auto wrong = from_json(*said, answer))
      return {grpc::StatusCode::INTERNAL, fmt::format("{}: {}", call, *wrong)};
    return Status::OK;
  }

  Status GetNode(Context c, Nothing q, v1::Node* a) override { return ask("GetNode", c, *q, *a); }
  Status ListNodes(Context c, Nothing q, v1::Nodes* a) override {
    return ask("ListNodes", c, *q, *a);
  }
  Status ListMembers(Context c, Nothing q, v1::Members* a) override {
    return ask("ListMembers", c, *q, *a);
  }
  Status ListTopics(Context c, const v1::TopicsRequest* q, v1::Topics* a) override {
    return ask("ListTopics", c, *q, *a);
  }
  Status ListSubscriptions(Context c, const v1::SubscriptionsRequest* q,
                           v1::Subscriptions* a) override {
    return ask("ListSubscriptions", c, *q, *a);
  }
  Status ListLanes(Context c, Nothing q, v1::Lanes* a) override {
    return ask("ListLanes", c, *q, *a);
  }
  Status ListLinks(Context c, Nothing q, v1::Links* a) override {
    return ask("ListLinks", c, *q, *a);
  }
  Status ListPorts(Context c, Nothing q, v1::Ports* a) override {
    return ask("ListPorts", c, *q, *a);
  }
  Status ListClients(Context c, Nothing q, v1::Clients* a) override {
    return ask("ListClients", c, *q, *a);
  }
  Status ListDrops(Context c, Nothing q, v1::Drops* a) override {
    return ask("ListDrops", c, *q, *a);
  }
  Status GetTopology(Context c, Nothing q, v1::Topology* a) override {
    return ask("GetTopology", c, *q, *a);
  }
  Status GetConfig(Context c, Nothing q, v1::Config* a) override {
    return ask("GetConfig", c, *q, *a);
  }
  Status DiffConfig(Context c, const v1::DiffRequest* q, v1::Reload* a) override {
    return ask("DiffConfig", c, *q, *a);
  }
  Status ReloadConfig(Context c, Nothing q, v1::Reload* a) override {
    return ask("ReloadConfig", c, *q, *a);
  }
  Status CheckHealth(Context c, Nothing q, v1::Health* a) override {
    return ask("CheckHealth", c, *q, *a);
  }
  Status ListEvents(Context c, const v1::EventsRequest* q, v1::Events* a) override {
    return ask("ListEvents", c, *q, *a);
  }
  Status RemoveMember(Context c, const v1::RemoveRequest* q, v1::Removal* a) override {
    return ask("RemoveMember", c, *q, *a);
  }
  Status Drain(Context c, const v1::DrainRequest* q, v1::Draining* a) override {
    return ask("Drain", c, *q, *a);
  }

  Requests& requests_;
};

std::string why() {
  return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): one thread at start
}

// gRPC would take over the socket of somebody who is there.
bool somebody_answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
         errno == EAGAIN;
}

// Empty: it can be had. Else what is in the way.
std::string not_free(const std::string& path) {
  struct stat st {};
  if (lstat(path.c_str(), &st) != 0) return "";
  if (!S_ISSOCK(st.st_mode)) return "exists and is no socket; remove it or set api.socket";
  if (somebody_answers(path)) return "in use: another node runs there; stop it or set api.socket";
  return "";
}

std::string give_rights(const ApiOptions& o) {
  if (!o.group.empty()) {
    const group* g = getgrnam(o.group.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (g == nullptr) return "no group named '" + o.group + "' (api.group)";
    if (chown(o.socket.c_str(), static_cast<uid_t>(-1), g->gr_gid) != 0) return why();
  }
  return chmod(o.socket.c_str(), o.mode) == 0 ? "" : why();
}

tl::expected<std::string, std::string> read_pem(const std::string& path, const char* option) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  if (!in || text.str().find("-----BEGIN ") == std::string::npos)
    return tl::unexpected(fmt::format("{} ({}): {}", path, option,
                                      in ? "is no PEM file" : "cannot be read: " + why()));
  return text.str();
}

tl::expected<std::shared_ptr<grpc::ServerCredentials>, std::string> tls(const ApiOptions& o) {
  const auto ca = read_pem(o.ca, "api.tls_ca");
  if (!ca) return tl::unexpected(ca.error());
  const auto certificate = read_pem(o.certificate, "api.tls_certificate");
  if (!certificate) return tl::unexpected(certificate.error());
  const auto key = read_pem(o.key, "api.tls_key");
  if (!key) return tl::unexpected(key.error());
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = *ca;
  options.pem_key_cert_pairs.push_back({*key, *certificate});
  return grpc::SslServerCredentials(options);
}

class Server final : public ApiServer {
 public:
  explicit Server(Requests& requests) : requests_(requests), service_(requests) {}
  ~Server() override {
    requests_.close();
    if (server_ != nullptr)
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  // Empty, or what failed.
  std::string start(const ApiOptions& o) {
    const auto fail = [&](const std::string& text) {
      return fmt::format("API socket {}: {}", o.socket, text);
    };
    std::error_code ignored;  // gRPC says what is wrong
    std::filesystem::create_directories(std::filesystem::path(o.socket).parent_path(), ignored);
    if (const std::string text = not_free(o.socket); !text.empty()) return fail(text);
    grpc::ServerBuilder builder;
    grpc::ResourceQuota quota("penstock");
    quota.SetMaxThreads(kMostThreads);
    quota.Resize(kMostBytes);
    builder.SetResourceQuota(quota);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetMaxReceiveMessageSize(kMostRequestBytes);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMostStreams);
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
    builder.AddListeningPort("unix:" + o.socket, grpc::InsecureServerCredentials());
    int tcp = -1;
    if (!o.listen.empty()) {
      auto credentials = tls(o);
      if (!credentials) return "API at " + o.listen + ": " + credentials.error();
      builder.AddListeningPort(o.listen, *credentials, &tcp);
    }
    builder.RegisterService(&service_);
    // Nobody may connect before group and mode are set.
    const mode_t before = umask(0777);
    server_ = builder.BuildAndStart();
    umask(before);
    if (server_ == nullptr && tcp == 0)
      return fmt::format(
          "API at {}: cannot listen there: is the address this host's and the port free, and do "
          "certificate and key belong together? (api.listen, api.tls_*)",
          o.listen);
    if (server_ == nullptr) return fail("cannot be made; may this user write there?");
    const std::string text = give_rights(o);
    return text.empty() ? "" : fail(text);
  }

 private:
  Requests& requests_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

tl::expected<std::unique_ptr<ApiServer>, std::string> ApiServer::open(const ApiOptions& options,
                                                                      Requests& requests) {
  // What goes wrong is said by us, in a sentence; any caller could fill the log with the rest.
  gpr_set_log_function([](gpr_log_func_args*) {});
  auto server = std::make_unique<Server>(requests);
  const std::string text = server->start(options);
  if (!text.empty()) return tl::unexpected(text);
  return server;
}

}  // namespace penstock
