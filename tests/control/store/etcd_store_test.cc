#include "control/store/etcd_store.h"

#include <algorithm>
#include <atomic>
#include <fstream>
#include <functional>
#include <grpcpp/grpcpp.h>
#include <map>
#include <thread>

#include "control/store/etcd.grpc.pb.h"
#include "tests/control/store/backend.h"
#include "tests/control/store/etcd_server.h"

namespace penstock::test {
namespace {

namespace pb = etcdserverpb;
using store::Fault;

std::unique_ptr<store::Store> open(const store::EtcdOptions& options) {
  auto opened = store::open_etcd(options);
  EXPECT_TRUE(opened) << opened.error().text;
  return opened ? std::move(*opened) : nullptr;
}

// One server for all tests; each has a prefix of its own in it.
class EtcdBackend : public Backend {
 public:
  static EtcdServer& server() {
    static TemporaryFolder folder;
    static std::vector<EtcdServer> one = EtcdServer::make(folder, 1);
    static const bool started = (one[0].start(), one[0].wait_until_ready(), true);
    EXPECT_TRUE(started);
    return one[0];
  }

  std::unique_ptr<store::Store> open() override {
    return test::open({{server().endpoint()}, prefix_});
  }
  void put(const std::string& key, const std::string& value) override {
    EXPECT_TRUE(writer_->txn(test::put(key, value)));
  }
  void remove(const std::string& key) override {
    EXPECT_TRUE(writer_->txn({{}, {{key, "", 0, true}}}));
  }
  void age(milliseconds time) override { std::this_thread::sleep_for(time); }
  void wipe() override {
    server().kill();
    server().wipe();
    server().start();
    server().wait_until_ready();
  }
  void compact() override {
    pb::CompactionRequest request;
    request.set_revision(static_cast<int64_t>(writer_->range("")->revision));
    grpc::ClientContext context;
    pb::CompactionResponse response;
    const auto channel =
        grpc::CreateChannel(server().endpoint(), grpc::InsecureChannelCredentials());
    EXPECT_TRUE(pb::KV::NewStub(channel)->Compact(&context, request, &response).ok());
  }

 private:
  static inline int count_ = 0;
  const std::string prefix_ = "test" + std::to_string(count_++) + "/";
  const std::unique_ptr<store::Store> writer_ = open();
};

std::unique_ptr<Backend> etcd() {
  return std::make_unique<EtcdBackend>();
}
INSTANTIATE_TEST_SUITE_P(Etcd, Contract, testing::Values(&etcd));
INSTANTIATE_TEST_SUITE_P(Etcd, Writing, testing::Values(&etcd));

TEST(EtcdStore, ALongRangeComesInPagesAsOfOneRevision) {
  EtcdBackend backend;
  const auto store = backend.open();
  for (int i = 0; i < 40; i++) {
    store::Txn txn;
    for (int k = 0; k < 60; k++)
      txn.writes.push_back({"k/" + std::to_string(i * 60 + k), "v"});
    ASSERT_TRUE(store->txn(txn));
  }
  const auto all = store->range("k/");
  ASSERT_TRUE(all) << all.error().text;
  std::map<std::string, int> seen;
  for (const auto& e : all->entries)
    seen[e.key]++;
  EXPECT_EQ(seen.size(), 2400u);
  EXPECT_EQ(all->entries.size(), 2400u);
}

TEST(EtcdStore, ValuesThatAreMoreThanADefaultAnswerCome) {
  EtcdBackend backend;
  const auto store = backend.open();
  const std::string value(store::kMaxValueBytes, 'v');
  for (int i = 0; i < 100; i++)
    ASSERT_TRUE(store->txn(put("k/" + std::to_string(i), value)));
  EXPECT_EQ(store->range("k/")->entries.size(), 100u);
}

struct EtcdFaults : testing::Test {
  TemporaryFolder folder;
  std::vector<EtcdServer> servers;

  std::vector<std::string> start(size_t members, const EtcdServer::Tls& tls = {}) {
    servers = EtcdServer::make(folder, members);
    std::vector<std::string> endpoints;
    for (EtcdServer& s : servers) {
      s.use(tls);
      s.start();
      endpoints.push_back(s.endpoint());
    }
    for (EtcdServer& s : servers)
      s.wait_until_ready();
    return endpoints;
  }
};

TEST_F(EtcdFaults, ServersThatAreNotThereAreUnavailable) {
  servers = EtcdServer::make(folder, 2);
  const auto store = open({{servers[0].endpoint(), servers[1].endpoint()}, "", milliseconds(300)});
  for (const auto& failed :
       {store->range("").map([](auto&&) {}), store->txn(put("k", "v")).map([](auto&&) {}),
        store->keep_alive(1), store->watch("", 0).map([](auto&&) {})}) {
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().fault, Fault::kUnavailable);
    EXPECT_NE(failed.error().text.find(servers[1].endpoint()), std::string::npos)
        << failed.error().text;
  }
}

TEST_F(EtcdFaults, AServerThatHangsIsUnavailableAndThenThereAgain) {
  const auto store = open({start(1), "", milliseconds(500)});
  ASSERT_TRUE(store->txn(put("k", "v")));
  servers[0].stop();
  const auto hung = store->range("k");
  servers[0].resume();
  ASSERT_FALSE(hung);
  EXPECT_EQ(hung.error().fault, Fault::kUnavailable);
  const auto until = std::chrono::steady_clock::now() + kSoon;
  auto again = store->range("k");
  while (!again && std::chrono::steady_clock::now() < until)
    again = store->range("k");
  ASSERT_TRUE(again) << again.error().text;
  EXPECT_EQ(again->entries.size(), 1u);
}

TEST_F(EtcdFaults, AWatchEndsWhenItsServerDies) {
  const auto store = open({start(1), ""});
  const auto watch = store->watch("k", store->range("")->revision);
  ASSERT_TRUE(watch);
  ASSERT_TRUE((*watch)->next(milliseconds(50)));
  servers[0].kill();
  const auto until = std::chrono::steady_clock::now() + kSoon;
  auto news = (*watch)->next(milliseconds(100));
  while (news && std::chrono::steady_clock::now() < until)
    news = (*watch)->next(milliseconds(100));
  ASSERT_FALSE(news);
  EXPECT_EQ(news.error().fault, Fault::kUnavailable);
}

// Counts upwards by compare-and-swap as fast as it can; a number that was acknowledged was written
// by us.
class Counter {
 public:
  explicit Counter(const std::vector<std::string>& endpoints)
      : endpoints_(endpoints), thread_([this] { run(); }) {}
  ~Counter() {
    stop_ = true;
    thread_.join();
  }
  int acked() const { return acked_; }

 private:
  void run() {
    const auto store = open({endpoints_, "", milliseconds(2000)});
    for (int n = 1; !stop_;) {
      const auto done = store->txn(put_if("n/" + std::to_string(n), 0, "once"));
      if (done && done->applied) {
        acked_ = n++;
      } else if (done) {
        n++;  // it had been written when no answer came
      }
    }
  }

  const std::vector<std::string> endpoints_;
  std::atomic<bool> stop_ = false;
  std::atomic<int> acked_ = 0;
  std::thread thread_;
};

bool comes_true(const std::function<bool()>& is_so) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!is_so()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(milliseconds(20));
  }
  return true;
}

TEST_F(EtcdFaults, WhatAThreeNodeClusterAcknowledgedIsThereOnceWhenItsLeaderDies) {
  const auto endpoints = start(3);
  const auto store = open({endpoints, ""});
  const uint64_t begin = store->range("")->revision;
  std::map<std::string, int> written;  // how often each key was, as the watches say
  auto watch = store->watch("n/", begin);
  ASSERT_TRUE(watch) << watch.error().text;
  uint64_t heard = begin;
  int acked = 0;
  const auto listen = [&] {
    auto events = watch ? (*watch)->next(milliseconds(100)) : tl::unexpected(watch.error());
    if (!events) {
      watch = store->watch("n/", heard);
      return;
    }
    for (const auto& e : *events) {
      if (e.entry.revision <= heard) continue;  // it may say things twice
      heard = e.entry.revision;
      written[e.entry.key]++;
    }
  };
  {
    const Counter counter(endpoints);
    for (int round = 0; round < 2; round++) {
      const int before = counter.acked();
      ASSERT_TRUE(comes_true([&] {
        listen();
        return counter.acked() > before + 50;
      }));
      size_t leader = 0;
      ASSERT_TRUE(comes_true([&] {
        for (leader = 0; leader < 3 && !servers[leader].is_leader(); leader++) {
        }
        return leader < 3;
      }));
      servers[leader].kill();
      const int then = counter.acked();
      ASSERT_TRUE(comes_true([&] {
        listen();
        return counter.acked() > then + 50;
      }));
      servers[leader].start();
      servers[leader].wait_until_ready();
    }
    acked = counter.acked();
  }
  const auto all = store->range("n/");
  ASSERT_TRUE(all) << all.error().text;
  EXPECT_GE(all->entries.size(), static_cast<size_t>(acked));
  for (int n = 1; n <= acked; n++) {
    const std::string key = "n/" + std::to_string(n);
    EXPECT_TRUE(std::ranges::any_of(all->entries, [&](const auto& e) { return e.key == key; }))
        << key;
  }
  EXPECT_TRUE(comes_true([&] {
    listen();
    return heard >= all->revision;
  }));
  EXPECT_EQ(written.size(), all->entries.size());
  for (const auto& [key, times] : written)
    EXPECT_EQ(times, 1) << key;
}

struct EtcdSecurity : EtcdFaults {
  EtcdServer::Tls tls;

  void SetUp() override {
    const std::string make = "cd " + folder.file("") +
                             " && exec 2>log && for who in ca other; do openssl req -x509 -newkey "
                             "ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
                             " -subj /CN=$who -keyout $who.key -out $who.pem -days 9; done"
                             " && echo 'subjectAltName=IP:127.0.0.1' >san"
                             " && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
                             "-subj /CN=node -keyout node.key -out node.csr"
                             " && openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key "
                             "-CAcreateserial -extfile san -days 9 -out node.pem";
    ASSERT_EQ(std::system(make.c_str()), 0);
    tls = {folder.file("ca.pem"), folder.file("node.pem"), folder.file("node.key")};
  }
  store::EtcdOptions options(const std::vector<std::string>& endpoints) const {
    store::EtcdOptions o;
    o.endpoints = endpoints;
    o.time_limit = milliseconds(3000);
    o.ca = tls.ca;
    o.certificate = tls.certificate;
    o.key = tls.key;
    return o;
  }
};

TEST_F(EtcdSecurity, TlsNeedsTheRightAuthorityAndCertificate) {
  const auto good = options(start(1, tls));
  EXPECT_TRUE(open(good)->txn(put("k", "v")));
  auto stranger = good;
  stranger.ca = folder.file("other.pem");
  stranger.time_limit = milliseconds(500);
  auto nobody = good;
  nobody.certificate = nobody.key = "";
  nobody.time_limit = milliseconds(500);
  auto plain = good;
  plain.ca = "";
  plain.time_limit = milliseconds(500);
  for (const auto& wrong : {stranger, nobody, plain}) {
    const auto refused = open(wrong)->range("");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().fault, Fault::kUnavailable) << refused.error().text;
  }
  auto missing = good;
  missing.key = folder.file("none.key");
  const auto refused = store::open_etcd(missing);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("none.key"), std::string::npos);
}

TEST_F(EtcdSecurity, AUserNeedsThePasswordAndLogsInAgainByItself) {
  auto mine = options(start(1, tls));
  grpc::SslCredentialsOptions ssl;
  {
    const auto channel = grpc::CreateChannel(mine.endpoints[0], [&] {
      const auto text = [](const std::string& path) {
        std::ifstream in(path);
        return std::string{std::istreambuf_iterator<char>(in), {}};
      };
      return grpc::SslCredentials({text(tls.ca), text(tls.key), text(tls.certificate)});
    }());
    const auto auth = pb::Auth::NewStub(channel);
    const auto done = [](const auto& call) {
      grpc::ClientContext context;
      const grpc::Status s = call(&context);
      EXPECT_TRUE(s.ok()) << s.error_message();
    };
    pb::AuthUserAddRequest user;
    user.set_name("root");
    user.set_password("secret");
    pb::AuthUserAddResponse added;
    done([&](auto* c) { return auth->UserAdd(c, user, &added); });
    pb::AuthRoleAddRequest role;
    role.set_name("root");
    pb::AuthRoleAddResponse made;
    done([&](auto* c) { return auth->RoleAdd(c, role, &made); });
    pb::AuthUserGrantRoleRequest grant;
    grant.set_user("root");
    grant.set_role("root");
    pb::AuthUserGrantRoleResponse granted;
    done([&](auto* c) { return auth->UserGrantRole(c, grant, &granted); });
    pb::AuthEnableResponse enabled;
    done([&](auto* c) { return auth->AuthEnable(c, {}, &enabled); });
  }
  mine.user = "root";
  mine.password = "wrong";
  const auto refused = open(mine)->range("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::kInvalid) << refused.error().text;

  mine.password = "secret";
  const auto store = open(mine);
  const auto written = store->txn(put("k", "v"));
  ASSERT_TRUE(written) << written.error().text;
  const auto watch = store->watch("k", written->revision);
  ASSERT_TRUE(watch);
  ASSERT_TRUE(store->txn(put("k", "w")));
  EXPECT_EQ(next(**watch, 1).size(), 1u);

  servers[0].kill();  // its tokens die with it
  servers[0].start();
  servers[0].wait_until_ready();
  const auto until = std::chrono::steady_clock::now() + kSoon;
  auto again = store->txn(put("k", "x"));
  while (!again && std::chrono::steady_clock::now() < until)
    again = store->txn(put("k", "x"));
  EXPECT_TRUE(again) << again.error().text;
}

}  // namespace
}  // namespace penstock::test
