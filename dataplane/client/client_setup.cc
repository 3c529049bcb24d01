// Attaching, and asking the node about itself.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <unistd.h>

#include "dataplane/base/event.h"
#include "dataplane/client/client.h"
#include "dataplane/client/last_error.h"
#include "dataplane/topic/tenant.h"

namespace penstock::client {
namespace {

constexpr const char* kDefaultSocket = "/run/penstock/penstock.sock";
constexpr uint64_t kMostAnswerBytes = uint64_t{64} << 20;

// Root's programs that others may start don't believe their environment.
const char* or_environment(const char* given, const char* variable, const char* fallback) {
  if (given != nullptr) return given;
  const char* from_environment = secure_getenv(variable);
  return from_environment != nullptr && *from_environment != 0 ? from_environment : fallback;
}

}  // namespace

Result<Client*> Client::attach(const char* socket, const char* name, const char* tenant) {
  if (name == nullptr) name = program_invocation_short_name;
  if (*name == 0 || std::strlen(name) >= attach::kNameBytes)
    return fail(Errc::kInvalid, "a client's name has 1 to %zu bytes", attach::kNameBytes - 1);
  tenant = or_environment(tenant, "PENSTOCK_TENANT", nullptr);
  if (tenant != nullptr && !valid_tenant(tenant))
    return fail(Errc::kInvalid, "a tenant has 1 to %zu letters, digits, '_' and '-'",
                kMaxTenantBytes);
  const char* path = or_environment(socket, "PENSTOCK_SOCKET", kDefaultSocket);
  auto s = ControlSocket::connect(path);
  if (!s.ok()) return s.error();
  auto* client = new (std::nothrow) Client;
  if (client == nullptr) return fail(Errc::kNoMemory, "out of memory");
  client->socket_ = std::move(*s);
  client->pid_ = getpid();
  std::strcpy(client->name_, name);
  const Errc e = client->start(tenant);
  if (e == Errc::kOk) return client;
  client->close();
  return e;
}

Errc Client::start(const char* tenant) {
  enable_remote_fence();
  if (tenant != nullptr) {
    attach::Tenant asked;
    std::strcpy(asked.name, tenant);
    post(asked);
  }
  attach::Hello hello;
  std::memcpy(hello.name, name_, sizeof hello.name);
  Packet answer;
  if (const Errc e = ask(hello, attach::Type::kWelcome, answer); e != Errc::kOk) return e;
  const auto* w = answer.as<attach::Welcome>();
  if (w == nullptr) return broken("Welcome");
  if (w->version != attach::kProtocolVersion)
    return fail(Errc::kVersion,
                "the node speaks version %u of the attach protocol, this library %u", w->version,
                attach::kProtocolVersion);
  if (w->workers > attach::kMaxWorkers || answer.fd_count != 3 + size_t{w->workers})
    return broken("Welcome");
  auto positions = Mapping::open(answer.fds[0].get(), sizeof(PositionTable), Access::kReadWrite);
  auto bells = Mapping::open(answer.fds[1].get(), sizeof(BellPage), Access::kReadWrite);
  auto page = Mapping::open(answer.fds[2].get(), sizeof(attach::WorkerPage), Access::kRead);
  if (!positions.ok() || !bells.ok() || !page.ok()) return broken("the memory in Welcome");
  positions_ = std::move(*positions);
  bells_ = std::move(*bells);
  worker_page_ = std::move(*page);
  workers_ = w->workers;
  for (uint32_t i = 0; i < workers_; i++)
    worker_events_[i] = std::move(answer.fds[3 + i]);
  node_id_ = w->node_id;
  for (size_t i = 0; i < 3; i++)
    answer.fds[i].reset();
  post(attach::Mapped{});
  return Errc::kOk;
}

bool Client::worker_wake(int32_t worker, uint32_t bell_slot, Wake& wake) const {
  if (worker < 0 || static_cast<uint32_t>(worker) >= workers_) return false;
  const auto w = static_cast<size_t>(worker);
  wake.event_fd = worker_events_[w].get();
  wake.bell = &reinterpret_cast<BellPage*>(bells_.data())->worker[w].bits[bell_slot / 64];
  wake.bell_bit = uint64_t{1} << (bell_slot % 64);
  wake.sleeper = &reinterpret_cast<const attach::WorkerPage*>(worker_page_.data())->worker[w].armed;
  return true;
}

Errc Client::query(const char* question, char** out) {
  attach::Query q;
  if (std::strlen(question) >= sizeof q.text)
    return fail(Errc::kInvalid, "a question has at most %zu bytes", sizeof q.text - 1);
  std::strcpy(q.text, question);
  Packet packet;
  if (const Errc e = ask(q, attach::Type::kAnswer, packet); e != Errc::kOk) return e;
  const auto* a = packet.as<attach::Answer>();
  if (a == nullptr || packet.fd_count != 1 || a->bytes > kMostAnswerBytes) return broken("Answer");
  auto* text = static_cast<char*>(std::malloc(a->bytes + 1));
  if (text == nullptr)
    return fail(Errc::kNoMemory, "no memory for an answer of %lu bytes", a->bytes);
  uint64_t got = 0;
  while (got < a->bytes) {
    const ssize_t n =
        pread(packet.fds[0].get(), text + got, a->bytes - got, static_cast<off_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      std::free(text);
      return broken("Answer");
    }
    got += static_cast<uint64_t>(n);
  }
  text[got] = 0;
  *out = text;
  return Errc::kOk;
}

}  // namespace penstock::client
