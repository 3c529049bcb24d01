// The server and the client of the API, on true sockets.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>

#include "control/api/client.h"
#include "control/api/control.grpc.pb.h"
#include "control/api/server.h"
#include "dataplane/base/stop_flag.h"

namespace penstock {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr auto kPatience = 60s;  // a bound for a busy machine, never a measure

class Folder {
 public:
  Folder() {
    std::string path = "/tmp/penstock-api-XXXXXX";
    path_ = mkdtemp(path.data()) != nullptr ? path : "";
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  bool run(const std::string& command) const {
    return std::system(("cd " + path_ + " && (" + command + ") 2>/dev/null").c_str()) == 0;
  }

 private:
  std::string path_;
};

// A control thread that knows a few answers.
class Control {
 public:
  explicit Control(Requests& requests) : requests_(requests) {
    thread_ = std::thread([this] {
      while (!stop_.is_set()) {
        if (requests_.poll([](const auto& call, const auto& r) {
              return Requests::Reply{answer(call, r)};
            }) == 0)
          std::this_thread::sleep_for(1ms);
      }
    });
  }
  ~Control() {
    stop_.set();
    thread_.join();
  }

 private:
  static ApiAnswer answer(const std::string& call, const std::string& request) {
    if (call == "GetNode") return R"({"id":7,"name":"a","of_later":{"x":[1]}})";
    if (call == "ListTopics") {
      if (json::parse(request)["filter"] == "a..b")
        return api_error(ApiFault::kInvalid, "a..b is no filter");
      return api_error(ApiFault::kRefused, "not today");
    }
    if (call == "ListDrops") return "[nonsense";
    return api_error(ApiFault::kUnknown, "no answer to " + call);
  }

  Requests& requests_;
  StopFlag stop_;
  std::thread thread_;
};

class Api : public ::testing::Test {
 protected:
  ApiOptions at_socket() {
    ApiOptions o;
    o.socket = folder / "api";
    o.mode = 0600;
    return o;
  }
  ApiAnswer call(const std::string& name, const std::string& request = "{}",
                 std::chrono::milliseconds limit = kPatience) {
    auto client = open_api({folder / "api", "", "", ""});
    return client ? (*client)->call(name, request, limit) : tl::unexpected(client.error());
  }

  Folder folder;
  Requests requests;
};

TEST_F(Api, CarriesACallToTheControlThreadAndItsAnswerBack) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  const ApiAnswer answer = call("GetNode");
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(json::parse(*answer)["id"], 7);
  EXPECT_FALSE(json::parse(*answer).contains("of_later"));

  const ApiAnswer invalid = call("ListTopics", R"({"filter":"a..b"})");
  ASSERT_FALSE(invalid);
  EXPECT_EQ(invalid.error().fault, ApiFault::kInvalid);
  EXPECT_EQ(invalid.error().text, "a..b is no filter");
  const ApiAnswer refused = call("ListTopics");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "not today");
  EXPECT_FALSE(call("ListDrops"));
  EXPECT_FALSE(call("ListTopics", R"({"fitler":"a"})"));
}

// What the node says to bytes that no client of ours would send.
grpc::Status raw_call(const std::string& socket, const char* name, const std::string& bytes) {
  const grpc::Slice slice(bytes);
  grpc::ByteBuffer request(&slice, 1), response;
  grpc::GenericStub stub(grpc::CreateChannel("unix:" + socket, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, std::string("/penstock.api.v1.Control/") + name,
                                          request, &queue);
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  EXPECT_TRUE(queue.Next(&tag, &ok));
  return status;
}

TEST_F(Api, TakesFieldsThatItDoesNotKnowButNoGarbage) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  // Field 99, a varint, of a later version.
  EXPECT_TRUE(raw_call(folder / "api", "GetNode", "\x98\x06\x2a").ok());
  EXPECT_FALSE(raw_call(folder / "api", "GetNode", "\xff\xff\xff").ok());
  EXPECT_EQ(raw_call(folder / "api", "OfLater", "").error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(Api, SaysWhenTheControlThreadHangs) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const ApiAnswer answer = call("GetNode", "{}", 200ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, ApiFault::kTimeout);
  EXPECT_NE(answer.error().text.find(folder / "api"), std::string::npos) << answer.error().text;
  EXPECT_NE(answer.error().text.find("did not answer within 200 ms"), std::string::npos);
}

TEST_F(Api, SaysWhenTheNodeIsOlder) {
  api::v1::Control::Service knows_nothing;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + (folder / "api"), grpc::InsecureServerCredentials());
  builder.RegisterService(&knows_nothing);
  const auto server = builder.BuildAndStart();
  ASSERT_NE(server, nullptr);
  const ApiAnswer answer = call("ListNodes");
  server->Shutdown();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().fault, ApiFault::kUnknown) << answer.error().text;
  EXPECT_NE(answer.error().text.find("of another version"), std::string::npos);
}

TEST_F(Api, SaysWhenNobodyIsThere) {
  const ApiAnswer missing = call("GetNode");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().fault, ApiFault::kGone);
  EXPECT_NE(missing.error().text.find("start penstockd"), std::string::npos);
  {
    const auto server = ApiServer::open(at_socket(), requests);
    ASSERT_TRUE(server) << server.error();
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "api"));
}

TEST_F(Api, AnswersManyAtOnce) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  std::vector<std::thread> callers;
  std::vector<int> answered(64);
  for (int& n : answered)
    callers.emplace_back([&] {
      for (int i = 0; i < 20; i++)
        n += call("GetNode") ? 1 : 0;
    });
  for (std::thread& t : callers)
    t.join();
  EXPECT_EQ(answered, std::vector<int>(64, 20));
}

TEST_F(Api, GoesOnAfterGarbage) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  for (const std::string& garbage :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\xff'), std::string("PRI"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(1000, '\x01')}) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, (folder / "api").c_str());
    const Fd s(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(s.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    (void)!send(s.get(), garbage.data(), garbage.size(), MSG_NOSIGNAL);
    EXPECT_TRUE(call("GetNode"));
  }
}

TEST_F(Api, TakesNobodysSocketAway) {
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  struct stat st {};
  ASSERT_EQ(stat((folder / "api").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0600u);
  Requests others;
  const auto second = ApiServer::open(at_socket(), others);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("in use: another node runs there"), std::string::npos)
      << second.error();

  ApiOptions o = at_socket();
  o.socket = folder / "file";
  std::ofstream(o.socket) << "precious";
  const auto file = ApiServer::open(o, others);
  ASSERT_FALSE(file);
  EXPECT_NE(file.error().find("exists and is no socket"), std::string::npos) << file.error();
  o.socket = folder / "g";
  o.group = "no such group";
  const auto group = ApiServer::open(o, others);
  ASSERT_FALSE(group);
  EXPECT_NE(group.error().find("api.group"), std::string::npos) << group.error();
  o.group = "";
  o.socket = folder / "file/there";
  const auto nowhere = ApiServer::open(o, others);
  ASSERT_FALSE(nowhere);
  EXPECT_NE(nowhere.error().find("may this user write there?"), std::string::npos);
}

TEST_F(Api, TakesTheSocketOfANodeThatDied) {
  const Fd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (folder / "api").c_str());
  ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const auto server = ApiServer::open(at_socket(), requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  EXPECT_TRUE(call("GetNode"));
}

// A certificate authority, and what it vouches for: "node" for 127.0.0.1, "me"; and "stranger" of
// another one.
bool make_certificates(const Folder& folder) {
  std::ofstream(folder / "san") << "subjectAltName=IP:127.0.0.1\n";
  const auto ca = [&](const std::string& name) {
    return folder.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
        "-subj /CN=" +
        name + " -keyout " + name + ".key -out " + name + ".pem");
  };
  const auto signed_by = [&](const std::string& by, const std::string& name) {
    return folder.run("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=" +
                      name + " -keyout " + name + ".key -out " + name +
                      ".csr && openssl x509 -req -in " + name + ".csr -CA " + by + ".pem -CAkey " +
                      by + ".key -CAcreateserial -days 2 -extfile san -out " + name + ".pem");
  };
  return ca("ca") && ca("other") && signed_by("ca", "node") && signed_by("ca", "me") &&
         signed_by("other", "stranger");
}

uint16_t free_port() {
  const Fd s(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof a;
  if (bind(s.get(), reinterpret_cast<const sockaddr*>(&a), len) != 0 ||
      getsockname(s.get(), reinterpret_cast<sockaddr*>(&a), &len) != 0)
    return 0;
  return ntohs(a.sin_port);
}

TEST_F(Api, OverTcpKnowsBothSidesByTheirCertificates) {
  ASSERT_TRUE(make_certificates(folder)) << "openssl";
  ApiOptions o = at_socket();
  o.listen = "127.0.0.1:" + std::to_string(free_port());
  o.ca = folder / "ca.pem";
  o.certificate = folder / "node.pem";
  o.key = folder / "node.key";
  const auto server = ApiServer::open(o, requests);
  ASSERT_TRUE(server) << server.error();
  const Control control(requests);
  const auto ask = [&](const std::string& ca, const std::string& who) {
    auto client = open_api(
        {o.listen, folder / (ca + ".pem"), folder / (who + ".pem"), folder / (who + ".key")});
    EXPECT_TRUE(client) << client.error().text;
    return (*client)->call("GetNode", "{}", 10s);
  };
  const ApiAnswer good = ask("ca", "me");
  EXPECT_TRUE(good) << good.error().text;
  EXPECT_FALSE(ask("ca", "stranger"));  // the node does not know who vouches for it
  EXPECT_FALSE(ask("other", "me"));     // it does not know who vouches for the node
  EXPECT_FALSE(open_api({o.listen, folder / "ca.pem", "", ""}));
  // Without TLS.
  auto plain = grpc::CreateChannel(o.listen, grpc::InsecureChannelCredentials());
  EXPECT_FALSE(plain->WaitForConnected(std::chrono::system_clock::now() + 300ms));
  EXPECT_TRUE(call("GetNode"));  // its own socket is as ever
}

TEST_F(Api, NamesTheFileThatIsNoCertificate) {
  ASSERT_TRUE(make_certificates(folder)) << "openssl";
  ApiOptions o = at_socket();
  o.listen = "127.0.0.1:" + std::to_string(free_port());
  o.ca = folder / "ca.pem";
  o.certificate = folder / "san";
  o.key = folder / "node.key";
  const auto no_pem = ApiServer::open(o, requests);
  ASSERT_FALSE(no_pem);
  EXPECT_NE(no_pem.error().find("san (api.tls_certificate): is no PEM file"), std::string::npos)
      << no_pem.error();
  o.certificate = folder / "node.pem";
  o.key = folder / "absent";
  const auto absent = ApiServer::open(o, requests);
  ASSERT_FALSE(absent);
  EXPECT_NE(absent.error().find("absent (api.tls_key): cannot be read"), std::string::npos)
      << absent.error();
  o.key = folder / "me.key";
  EXPECT_FALSE(ApiServer::open(o, requests));  // of another certificate
}

}  // namespace
}  // namespace penstock
