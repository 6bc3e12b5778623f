/* The guest's first process: loads the modules beside it, then does each piece of work, and says where it begins and ends
   over the virtio port "vgapt.exits". The host counts VM exits between the two, while this waits for its "go". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/ip_icmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MARK "vgapt-exits scratch" /* only a disk that begins so is written */
#define MIB (1 << 20)
#define SPAN (64 * MIB) /* of the scratch disk, from 1 MiB on */
#define LIMIT 60        /* seconds: then a piece ends, and says how far it came */

static int port = -1;
static volatile sig_atomic_t is_late;
static char scratch[300], passed[300];
static unsigned char *buffer;
static struct sockaddr_in gateway = { .sin_family = AF_INET };

static void late(int signal) { (void)signal; is_late = 1; }

static void say(const char *format, ...) {
    char line[400];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line - 1, format, values);
    va_end(values);
    line[length++] = '\n';
    for (int at = 0, n; at < length; at += n)
        if ((n = write(port, line + at, length - at)) <= 0) n = 0, usleep(10000);
}

static void await_go(void) {
    char letter = 0;
    while (letter != '\n')
        if (read(port, &letter, 1) <= 0) usleep(10000);
}

static void line_of(const char *path, char *line, int size) {
    int file = open(path, O_RDONLY), length = file < 0 ? 0 : read(file, line, size - 1);
    if (file >= 0) close(file);
    line[length > 0 ? length : 0] = 0;
    line[strcspn(line, "\n")] = 0;
}

/* Those whose names begin with this digit, in the order in which modprobe would load them. */
static void load_modules(char stage) {
    struct dirent **names;
    int count = scandir("/modules", &names, NULL, alphasort);
    for (int at = 0; at < count; at++) {
        char path[300];
        if (names[at]->d_name[0] != stage) continue;
        snprintf(path, sizeof path, "/modules/%s", names[at]->d_name);
        int file = open(path, O_RDONLY);
        syscall(SYS_finit_module, file, "", 0);
        close(file);
    }
}

static void find_port(void) {
    for (int tries = 0; port < 0; tries++) {
        DIR *all = opendir("/sys/class/virtio-ports");
        struct dirent *one;
        while (all && port < 0 && (one = readdir(all))) {
            char path[300], name[100];
            snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", one->d_name);
            line_of(path, name, sizeof name);
            snprintf(path, sizeof path, "/dev/%s", one->d_name);
            if (!strcmp(name, "vgapt.exits")) port = open(path, O_RDWR);
        }
        if (all) closedir(all);
        if (port < 0) usleep(10000);
    }
}

/* The scratch disk is known by how it begins, a passed one by its driver. */
static void find_disks(void) {
    for (int tries = 0; tries < 500 && !*scratch; tries++, usleep(10000)) {
        DIR *all = opendir("/sys/block");
        struct dirent *one;
        while (all && (one = readdir(all))) {
            char path[300], begin[sizeof MARK] = "";
            snprintf(path, sizeof path, "/dev/%s", one->d_name);
            int disk = open(path, O_RDONLY);
            if (disk < 0) continue;
            if (read(disk, begin, sizeof MARK - 1) > 0 && !strcmp(begin, MARK)) strcpy(scratch, path);
            else if (!strncmp(one->d_name, "nvme", 4)) strcpy(passed, path);
            close(disk);
        }
        if (all) closedir(all);
    }
}

static void start_network(void) {
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq card = { 0 };
    struct sockaddr_in *address = (struct sockaddr_in *)&card.ifr_addr;
    for (int tries = 0; tries < 300 && !*card.ifr_name; tries++, usleep(10000)) {
        DIR *all = opendir("/sys/class/net");
        struct dirent *one;
        while (all && (one = readdir(all)))
            if (one->d_name[0] == 'e') snprintf(card.ifr_name, IFNAMSIZ, "%.15s", one->d_name);
        if (all) closedir(all);
    }
    if (!*card.ifr_name) return;
    address->sin_family = AF_INET;
    inet_pton(AF_INET, "10.0.2.15", &address->sin_addr);
    ioctl(udp, SIOCSIFADDR, &card);
    inet_pton(AF_INET, "255.255.255.0", &address->sin_addr);
    ioctl(udp, SIOCSIFNETMASK, &card);
    card.ifr_flags = IFF_UP | IFF_RUNNING;
    ioctl(udp, SIOCSIFFLAGS, &card);
    close(udp);
    inet_pton(AF_INET, "10.0.2.2", &gateway.sin_addr);
}

/* --- the pieces: each does `count` units, and returns how many it did; -1 where it cannot --- */

static long idle(long count) {
    struct timespec seconds = { count, 0 };
    nanosleep(&seconds, NULL);
    return count;
}

static long nothing(long count) { return count; }

static long clock_reads(long count) {
    struct timespec now;
    long done = 0;
    for (; done < count && !is_late; done++) clock_gettime(CLOCK_MONOTONIC, &now);
    return done;
}

static long sleeps(long count) {
    struct timespec millisecond = { 0, 1000000 };
    long done = 0;
    for (; done < count && !is_late; done++) nanosleep(&millisecond, NULL);
    return done;
}

static long writes(long count) {
    int disk = open(scratch, O_WRONLY);
    long done = 0;
    if (disk < 0) return -1;
    memset(buffer, 'w', MIB);
    for (; done < count && !is_late; done++)
        if (pwrite(disk, buffer, MIB, (1 + done) * (off_t)MIB) != MIB) break;
    fsync(disk);
    close(disk);
    return done;
}

static long reads_of(const char *path, long count) {
    int disk = open(path, O_RDONLY | O_DIRECT);
    unsigned place = 1;
    long done = 0;
    if (disk < 0) return -1;
    for (; done < count && !is_late; done++) {
        place = place * 1103515245 + 12345; /* the same places for each domain */
        if (pread(disk, buffer, 4096, (place >> 8) % (SPAN / 4096 - 256) * 4096L) != 4096) break;
    }
    close(disk);
    return done;
}

static long disk_reads(long count) { return reads_of(scratch, count); }
static long interrupts(long count) { return *passed ? reads_of(passed, count) : -1; }

static long pings(long count) {
    int icmp = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    struct timeval second = { 1, 0 };
    long done = 0;
    if (icmp < 0 || !gateway.sin_addr.s_addr) return -1;
    setsockopt(icmp, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    for (; done < count && !is_late; done++) {
        struct icmphdr echo = { .type = ICMP_ECHO, .un.echo = { .id = 7, .sequence = htons(done) } };
        unsigned char answer[200];
        unsigned sum = (ICMP_ECHO << 8) + ntohs(echo.un.echo.id) + (done & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        echo.checksum = htons(~((sum >> 16) + sum));
        sendto(icmp, &echo, sizeof echo, 0, (void *)&gateway, sizeof gateway);
        /* A raw socket gives the answer after the 20 bytes of its IP header. */
        do if (recv(icmp, answer, sizeof answer, 0) < 28) goto end;
        while (answer[20] != ICMP_ECHOREPLY || memcmp(answer + 26, &echo.un.echo.sequence, 2));
    }
end:
    close(icmp);
    return done ? done : -1;
}

static long packets(long count) {
    int udp = socket(AF_INET, SOCK_DGRAM, 0);
    long done = 0;
    gateway.sin_port = htons(9); /* "discard" */
    if (udp < 0 || !gateway.sin_addr.s_addr) return -1;
    for (; done < count && !is_late; done++)
        if (sendto(udp, buffer, 512, 0, (void *)&gateway, sizeof gateway) < 0) break;
    close(udp);
    return done;
}

/* --- with two virtual CPUs --- */

static volatile int is_over;
static int there[2], back[2];

static void stay_on(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
}

static void *spin(void *unused) {
    stay_on(1);
    while (!is_over) ;
    return unused;
}

/* Pages are given back while another thread of the process runs on another CPU, which must forget them too. */
static long shootdowns(long count) {
    pthread_t other;
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    long done = 0;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2) return -1;
    stay_on(0);
    is_over = 0;
    pthread_create(&other, NULL, spin, NULL);
    for (; done < count && !is_late; done++) {
        *page = 1;
        madvise(page, 4096, MADV_DONTNEED);
    }
    is_over = 1;
    pthread_join(other, NULL);
    munmap(page, 4096);
    return done;
}

static void *answer(void *unused) {
    char letter;
    stay_on(1);
    while (read(there[0], &letter, 1) == 1 && write(back[1], &letter, 1) == 1) ;
    return unused;
}

/* Each wakes the other, on another CPU, and sleeps. */
static long handoffs(long count) {
    pthread_t other;
    char letter = 0;
    long done = 0;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || pipe(there) || pipe(back)) return -1;
    stay_on(0);
    pthread_create(&other, NULL, answer, NULL);
    for (; done < count && !is_late; done++)
        if (write(there[1], &letter, 1) != 1 || read(back[0], &letter, 1) != 1) break;
    close(there[1]);
    pthread_join(other, NULL);
    close(there[0]), close(back[0]), close(back[1]);
    return done;
}

static int by_size(const void *one, const void *other) {
    long a = *(const long *)one, b = *(const long *)other;
    return (a > b) - (a < b);
}

/* As cyclictest: how much later than it was to be is it woken, in nanoseconds. */
static long wakeups(long count) {
    struct timespec due, now;
    long *lateness = calloc(count, sizeof *lateness), done = 0, sum = 0;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (; done < count && !is_late; done++) {
        if ((due.tv_nsec += 1000000) >= 1000000000) due.tv_sec++, due.tv_nsec -= 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        clock_gettime(CLOCK_MONOTONIC, &now);
        sum += lateness[done] = (now.tv_sec - due.tv_sec) * 1000000000 + now.tv_nsec - due.tv_nsec;
    }
    qsort(lateness, done, sizeof *lateness, by_size);
    if (done) say("late %ld %ld %ld %ld", lateness[0], sum / done, lateness[done * 99 / 100], lateness[done - 1]);
    free(lateness);
    return done;
}

static const struct { const char *name; long count; long (*work)(long); } pieces[] = {
    { "nothing", 1, nothing }, { "idle", 10, idle }, { "clock", 1000000, clock_reads }, { "sleeps", 1000, sleeps },
    { "writes", 64, writes }, { "reads", 2000, disk_reads }, { "interrupts", 2000, interrupts },
    { "pings", 2000, pings }, { "packets", 2000, packets },
    { "shootdowns", 2000, shootdowns }, { "handoffs", 2000, handoffs }, { "wakeups", 5000, wakeups },
};

int main(void) {
    char text[100];
    mount("dev", "/dev", "devtmpfs", 0, "");
    mount("sys", "/sys", "sysfs", 0, "");
    load_modules('1');
    find_port();
    say("boot");
    await_go();
    load_modules('2');
    buffer = aligned_alloc(4096, MIB);
    signal(SIGALRM, late);
    find_disks();
    start_network();
    /* The clock's watchdog and what else runs after a boot come to rest. */
    sleep(5);
    int rounds = getenv("rounds") ? atoi(getenv("rounds")) : 1;
    for (int round = 1; round <= rounds; round++)
        for (unsigned at = 0; at < sizeof pieces / sizeof *pieces; at++) {
            struct timespec begin, end;
            if (!strcmp(pieces[at].name, "wakeups") && !getenv("times")) continue;
            say("begin %s", pieces[at].name);
            await_go();
            is_late = 0;
            alarm(LIMIT);
            clock_gettime(CLOCK_MONOTONIC, &begin);
            long done = pieces[at].work(pieces[at].count);
            clock_gettime(CLOCK_MONOTONIC, &end);
            alarm(0);
            say("end %s %ld %ld %ld", pieces[at].name, pieces[at].count, done,
                (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
            await_go();
        }
    line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource", text, sizeof text);
    say("clock %s", text);
    say("done");
    for (;;) pause();
}
