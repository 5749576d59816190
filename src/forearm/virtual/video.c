/* A camera of the virtual arm as a V4L2 device, for programs that are started with LD_PRELOAD=video.so.

   A path that is opened without waiting, as OpenCV opens devices, and is a Unix socket, is connected to; what is then asked
   of it by ioctl and mmap is answered here. The pictures come over the socket (see cameras.py): BGR, of the size that the
   program sets, and select() works as usual. Everything else goes to the C library. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define DEVICES 16
#define BUFFERS 4
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

struct device {
    int fd; /* 0: unused */
    struct sockaddr_un address;
    uint32_t width, height, fps, queue[BUFFERS], queued, sequence;
    void *buffers[BUFFERS];
};

static struct device devices[DEVICES];

static struct device *device_of(int fd) {
    for (int i = 0; i < DEVICES; i++)
        if (fd > 0 && devices[i].fd == fd) return &devices[i];
    return NULL;
}

static uint32_t size_of(const struct device *it) { return it->width * it->height * 3; }

static int connected(const struct sockaddr_un *address) {
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int open_camera(const char *path, int flags) {
    struct stat found;
    struct device *it = NULL;
    for (int i = 0; i < DEVICES && !it; i++)
        if (!devices[i].fd) it = &devices[i];
    if (!(flags & O_NONBLOCK) || !path || strlen(path) >= sizeof it->address.sun_path) return -1;
    int error = errno;
    if (!it || stat(path, &found) || !S_ISSOCK(found.st_mode)) {
        errno = error;
        return -1;
    }
    memset(it, 0, sizeof *it);
    it->address.sun_family = AF_UNIX;
    strcpy(it->address.sun_path, path);
    it->width = 640, it->height = 480, it->fps = 30;
    int fd = connected(&it->address);
    if (fd > 0) it->fd = fd;
    return fd;
}

#define OPEN(name, parameters, arguments)                                   \
    int name parameters {                                                   \
        int fd = open_camera(path, flags);                                  \
        if (fd > 0) return fd;                                              \
        mode_t mode = 0;                                                    \
        if (flags & (O_CREAT | O_TMPFILE)) {                                \
            va_list more;                                                   \
            va_start(more, flags);                                          \
            mode = va_arg(more, mode_t);                                    \
            va_end(more);                                                   \
        }                                                                   \
        return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, #name))arguments; \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, mode))
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode))

int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }

int close(int fd) {
    struct device *it = device_of(fd);
    if (it) it->fd = 0;
    return REAL(close)(fd);
}

static void *map(size_t length, int fd, off_t offset) {
    struct device *it = device_of(fd);
    size_t number = it && size_of(it) ? (size_t)offset / size_of(it) : BUFFERS;
    if (number >= BUFFERS) return NULL;
    return it->buffers[number] = REAL(mmap)(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
    void *mapped = map(length, fd, offset);
    return mapped ? mapped : REAL(mmap)(at, length, protection, flags, fd, offset);
}

void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    void *mapped = map(length, fd, offset);
    return mapped ? mapped : REAL(mmap64)(at, length, protection, flags, fd, offset);
}

static int failed(int error) {
    errno = error;
    return -1;
}

static int set_format(struct device *it, struct v4l2_format *format, int change) {
    struct v4l2_pix_format *pixels = &format->fmt.pix;
    if (format->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return failed(EINVAL);
    if (change && pixels->width && pixels->height && pixels->width <= 2000 && pixels->height <= 2000)
        it->width = pixels->width, it->height = pixels->height;
    pixels->width = it->width, pixels->height = it->height;
    pixels->pixelformat = V4L2_PIX_FMT_BGR24, pixels->field = V4L2_FIELD_NONE;
    pixels->bytesperline = it->width * 3, pixels->sizeimage = size_of(it), pixels->colorspace = V4L2_COLORSPACE_SRGB;
    return 0;
}

static int start(struct device *it) {
    uint32_t request[2] = {it->width, it->height};
    return send(it->fd, request, sizeof request, MSG_NOSIGNAL) == sizeof request ? 0 : failed(ENODEV);
}

/* Hang up and call again, on the same descriptor. */
static int stop(struct device *it) {
    int fd = connected(&it->address);
    it->queued = 0;
    if (fd < 0) return failed(ENODEV);
    int result = dup2(fd, it->fd);
    REAL(close)(fd);
    return result < 0 ? -1 : 0;
}

static int describe(struct device *it, struct v4l2_buffer *buffer) {
    if (buffer->index >= BUFFERS) return failed(EINVAL);
    buffer->length = size_of(it), buffer->m.offset = buffer->index * size_of(it);
    buffer->memory = V4L2_MEMORY_MMAP, buffer->field = V4L2_FIELD_NONE;
    return 0;
}

static int take(struct device *it, struct v4l2_buffer *buffer) {
    if (!it->queued) return failed(EAGAIN);
    buffer->index = it->queue[0];
    if (recv(it->fd, it->buffers[buffer->index], size_of(it), MSG_WAITALL) != (ssize_t)size_of(it)) return failed(ENODEV);
    memmove(it->queue, it->queue + 1, --it->queued * sizeof *it->queue);
    describe(it, buffer);
    gettimeofday(&buffer->timestamp, NULL);
    buffer->bytesused = size_of(it), buffer->sequence = it->sequence++, buffer->flags = V4L2_BUF_FLAG_DONE;
    return 0;
}

static int give(struct device *it, struct v4l2_buffer *buffer) {
    if (buffer->index >= BUFFERS || it->queued >= BUFFERS || !it->buffers[buffer->index]) return failed(EINVAL);
    it->queue[it->queued++] = buffer->index;
    return 0;
}

static int answer(struct device *it, unsigned long request, void *data) {
    struct v4l2_capability *capability = data;
    struct v4l2_streamparm *rate = data;
    struct v4l2_requestbuffers *buffers = data;
    struct v4l2_fract *time = &rate->parm.capture.timeperframe;
    switch (request) {
    case VIDIOC_QUERYCAP:
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->driver, "forearm");
        strcpy((char *)capability->card, "virtual camera");
        capability->capabilities = capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        capability->capabilities |= V4L2_CAP_DEVICE_CAPS;
        return 0;
    case VIDIOC_G_INPUT:
        *(int *)data = 0;
        return 0;
    case VIDIOC_S_INPUT:
        return *(int *)data ? failed(EINVAL) : 0;
    case VIDIOC_ENUMINPUT:
        return ((struct v4l2_input *)data)->index ? failed(EINVAL) : 0;
    case VIDIOC_G_FMT:
        return set_format(it, data, 0);
    case VIDIOC_S_FMT:
    case VIDIOC_TRY_FMT:
        return set_format(it, data, 1);
    case VIDIOC_S_PARM:
        if (time->numerator && time->denominator) it->fps = time->denominator / time->numerator;
        /* fall through */
    case VIDIOC_G_PARM:
        rate->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        time->numerator = 1, time->denominator = it->fps;
        return 0;
    case VIDIOC_REQBUFS:
        if (buffers->memory != V4L2_MEMORY_MMAP) return failed(EINVAL);
        if (buffers->count > BUFFERS) buffers->count = BUFFERS;
        it->queued = 0;
        return 0;
    case VIDIOC_QUERYBUF:
        return describe(it, data);
    case VIDIOC_QBUF:
        return give(it, data);
    case VIDIOC_DQBUF:
        return take(it, data);
    case VIDIOC_STREAMON:
        return start(it);
    case VIDIOC_STREAMOFF:
        return stop(it);
    }
    return failed(EINVAL);
}

int ioctl(int fd, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *data = va_arg(more, void *);
    va_end(more);
    struct device *it = device_of(fd);
    /* some pass the request as a negative int */
    return it ? answer(it, (uint32_t)request, data) : REAL(ioctl)(fd, request, data);
}
