#include "control/api/client.h"

#include <fmt/format.h>
#include <fstream>
#include <grpc/support/log.h>
#include <grpcpp/grpcpp.h>
#include <sstream>
#include <thread>

#include "control/api/control.grpc.pb.h"
#include "control/api/proto_json.h"

namespace penstock {
namespace {

namespace v1 = api::v1;

constexpr int kMostAnswerBytes = 256 << 20;
constexpr std::chrono::milliseconds kPause{20};

tl::expected<std::string, ApiError> read_file(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  if (!in || text.str().empty())
    return api_error(ApiFault::kInvalid, path + ": cannot be read, or is empty");
  return text.str();
}

tl::expected<std::shared_ptr<grpc::ChannelCredentials>, ApiError> credentials(const ApiTarget& t) {
  if (!t.tcp()) return grpc::InsecureChannelCredentials();
  if (t.ca.empty() || t.certificate.empty() || t.key.empty())
    return api_error(ApiFault::kInvalid,
                     t.address + " is reached by mutual TLS: give --ca, --certificate and --key");
  const auto ca = read_file(t.ca);
  if (!ca) return tl::unexpected(ca.error());
  const auto certificate = read_file(t.certificate);
  if (!certificate) return tl::unexpected(certificate.error());
  const auto key = read_file(t.key);
  if (!key) return tl::unexpected(key.error());
  return grpc::SslCredentials({*ca, *key, *certificate});
}

// What gRPC tells ends with the reason: "last error: UNKNOWN: unix:/a: Connection refused".
std::string last_part(const std::string& text) {
  const size_t colon = text.rfind(": ");
  return colon == std::string::npos ? text : text.substr(colon + 2);
}

class Client final : public ApiClient {
 public:
  Client(ApiTarget target, const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : target_(std::move(target)) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMostAnswerBytes);
    // No detour by a proxy that http_proxy names.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    stub_ = v1::Control::NewStub(grpc::CreateCustomChannel(
        (target_.tcp() ? "" : "unix:") + target_.address, credentials, arguments));
  }

  ApiAnswer call(const std::string& name, const std::string& request,
                 std::chrono::milliseconds limit) override {
    using Stub = v1::Control::Stub;
    const Call c{request, std::chrono::system_clock::now() + limit, limit};
    if (name == "GetNode") return ask(c, &Stub::GetNode);
    if (name == "ListNodes") return ask(c, &Stub::ListNodes);
    if (name == "ListMembers") return ask(c, &Stub::ListMembers);
    if (name == "ListTopics") return ask(c, &Stub::ListTopics);
    if (name == "ListSubscriptions") return ask(c, &Stub::ListSubscriptions);
    if (name == "ListLanes") return ask(c, &Stub::ListLanes);
    if (name == "ListLinks") return ask(c, &Stub::ListLinks);
    if (name == "ListPorts") return ask(c, &Stub::ListPorts);
    if (name == "ListClients") return ask(c, &Stub::ListClients);
    if (name == "ListDrops") return ask(c, &Stub::ListDrops);
    if (name == "GetTopology") return ask(c, &Stub::GetTopology);
    if (name == "GetConfig") return ask(c, &Stub::GetConfig);
    if (name == "DiffConfig") return ask(c, &Stub::DiffConfig);
    if (name == "ReloadConfig") return ask(c, &Stub::ReloadConfig);
    if (name == "CheckHealth") return ask(c, &Stub::CheckHealth);
    if (name == "ListEvents") return ask(c, &Stub::ListEvents);
    if (name == "RemoveMember") return ask(c, &Stub::RemoveMember);
    if (name == "Drain") return ask(c, &Stub::Drain);
    return api_error(ApiFault::kUnknown, "control.proto has no call " + name);
  }

 private:
  struct Call {
    const std::string& request;
    std::chrono::system_clock::time_point deadline;
    std::chrono::milliseconds limit;
  };

  template <class Q, class A>
  ApiAnswer ask(const Call& call,
                grpc::Status (v1::Control::Stub::*method)(grpc::ClientContext*, const Q&, A*)) {
    Q request;
    if (const auto wrong = from_json(call.request, request, true))
      return api_error(ApiFault::kInvalid, *wrong);
    while (true) {
      grpc::ClientContext context;
      context.set_deadline(call.deadline);
      A answer;
      const grpc::Status status = (stub_.get()->*method)(&context, request, &answer);
      if (status.ok()) return to_json(answer);
      // Nothing was done, and those before us will be gone soon.
      if (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED &&
          std::chrono::system_clock::now() + kPause < call.deadline) {
        std::this_thread::sleep_for(kPause);
        continue;
      }
      return tl::unexpected(error_of(status, call.limit));
    }
  }

  ApiError error_of(const grpc::Status& status, std::chrono::milliseconds limit) const {
    const std::string& at = target_.address;
    const std::string said = status.error_message();
    switch (status.error_code()) {
      case grpc::StatusCode::INVALID_ARGUMENT:
        return {ApiFault::kInvalid, said};
      case grpc::StatusCode::FAILED_PRECONDITION:
        return {ApiFault::kRefused, said};
      case grpc::StatusCode::DEADLINE_EXCEEDED:
        return {ApiFault::kTimeout,
                fmt::format("the node at {} did not answer within {} ms: it hangs, or is stopped; "
                            "look at its log, and ask again with a longer --timeout",
                            at, limit.count())};
      case grpc::StatusCode::RESOURCE_EXHAUSTED:
        return {ApiFault::kBusy,
                fmt::format("the node at {} is busy with other calls: ask again later", at)};
      case grpc::StatusCode::UNIMPLEMENTED:
        return {ApiFault::kUnknown,
                fmt::format("the node at {} does not know this call: it is of another version than "
                            "this penstock; `penstock show node` tells which",
                            at)};
      case grpc::StatusCode::CANCELLED:  // it stopped while it had the call
      case grpc::StatusCode::UNAVAILABLE:
        return {ApiFault::kGone,
                fmt::format("no node answers at {} ({}): start penstockd, or name its socket with "
                            "--socket or --api",
                            at, last_part(said))};
      default:
        return {ApiFault::kRefused, fmt::format("the node at {}: {}", at, said)};
    }
  }

  const ApiTarget target_;
  std::unique_ptr<v1::Control::Stub> stub_;
};

}  // namespace

tl::expected<std::unique_ptr<ApiClient>, ApiError> open_api(const ApiTarget& target) {
  gpr_set_log_function([](gpr_log_func_args*) {});  // it is in the error, too
  const auto how = credentials(target);
  if (!how) return tl::unexpected(how.error());
  return std::make_unique<Client>(target, *how);
}

}  // namespace penstock
