/* A libnvidia-ml.so.1 without GPUs: answers what the scenario of a simulated node says, read anew at each call.

   Layouts, codes and version words are those of NVML's public API, as nvidia-ml-py declares them:
   https://docs.nvidia.com/deploy/nvml-api/. Only what this repository calls is here; a test tells when that grows. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STATE_VARIABLE "SIMULATED_GPUS_STATE"
#define STATE_DEFAULT "/run/simulated-gpus/state"
#define API __attribute__((visibility("default")))

enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9, TIMEOUT = 10, LIBRARY_NOT_FOUND = 12, FUNCTION_NOT_FOUND = 13, GPU_IS_LOST = 15,
    LIB_RM_VERSION_MISMATCH = 18, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999,
};
enum { XID_EVENT = 0x8, GPU_TEMPERATURE_SENSOR = 0, RECOVERY_ACTION_FIELD = 230, UNSIGNED_INT = 1 };
enum { MEMORY_V2 = 0x02000028, TEMPERATURE_V1 = 0x0100000C };
enum { MIG_SLOTS = 16, NO_INSTANCE = -1, POLL_MS = 10 };

/* A handle is a number: 1 + MIG_SLOTS * GPU + 0 for the GPU itself, + 1 + N for its MIG device N. */
typedef void *Device;
typedef struct { char bus_legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } Pci;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version, sensor; int temperature; } Temperature;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } Process;
typedef struct { Device device; unsigned long long type, data; unsigned gpu_instance, compute_instance; } Event;
typedef struct {
    unsigned field, scope; long long timestamp, latency; unsigned type, result; unsigned long long value;
} FieldValue;
typedef struct { Device device; unsigned id, profile, start, size; } InstanceInfo;
typedef struct { int seen; unsigned long long gpus; } EventSet; /* events before `seen` are old; a bit a GPU */

static int initialized; /* how often; nvmlShutdown counts down */
static _Thread_local char text[1 << 18];

/* JSON, as far as a scenario needs it. What is missing and what is null is NULL. */

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n,:"); }

static const char *skip_string(const char *at) {
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1]) at++;
    return *at ? at + 1 : at;
}

static const char *skip_value(const char *at) {
    int depth = 0;
    do {
        at = skip_space(at);
        if (!*at) return at;
        if (*at == '"') { at = skip_string(at); continue; }
        if (*at == '{' || *at == '[') { depth++; at++; continue; }
        if (*at == '}' || *at == ']') { depth--; at++; continue; }
        at += strcspn(at, " \t\r\n,:{}[]\"");
    } while (depth > 0);
    return at;
}

static const char *member(const char *object, const char *key) {
    size_t length = strlen(key);
    if (!object || *object != '{') return NULL;
    for (const char *at = skip_space(object + 1); *at == '"';) {
        const char *name = at + 1, *value = skip_space(skip_string(at));
        if (!strncmp(name, key, length) && name[length] == '"') return *value == 'n' ? NULL : value;
        at = skip_space(skip_value(value));
    }
    return NULL;
}

static const char *element(const char *array, int index) {
    if (!array || *array != '[' || index < 0) return NULL;
    const char *at = skip_space(array + 1);
    for (; index && *at && *at != ']'; index--) at = skip_space(skip_value(at));
    return *at && *at != ']' ? at : NULL;
}

static int length(const char *array) {
    int count = 0;
    while (element(array, count)) count++;
    return count;
}

static double number(const char *value) { return value ? strtod(value, NULL) : 0; }
static int is_true(const char *value) { return value && *value == 't'; }
static int is_string(const char *value, const char *want) {
    return value && *value == '"' && !strncmp(value + 1, want, strlen(want)) && value[1 + strlen(want)] == '"';
}

/* Copies a string that holds no escapes, as names, versions and UUIDs do. */
static int copy(const char *value, char *to, unsigned size) {
    if (!value || *value != '"') return NOT_SUPPORTED;
    size_t count = strcspn(value + 1, "\"");
    if (count >= size) return INSUFFICIENT_SIZE;
    memcpy(to, value + 1, count);
    to[count] = 0;
    return OK;
}

/* The state, and what of it a call is about. */

static int read_state(void) {
    const char *path = getenv(STATE_VARIABLE);
    FILE *file = fopen(path && *path ? path : STATE_DEFAULT, "re");
    if (!file) return UNKNOWN;
    size_t count = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[count] = 0;
    return *text == '{' ? OK : UNKNOWN;
}

/* A driver that lacks `function` answers as pynvml does for a symbol that is not there. */
static int enter(const char *function) {
    if (!initialized) return UNINITIALIZED;
    int error = read_state();
    if (error) return error;
    const char *absent = member(text, "absent_functions");
    for (int index = 0; element(absent, index); index++)
        if (is_string(element(absent, index), function)) return FUNCTION_NOT_FOUND;
    return OK;
}

static Device handle(int gpu, int mig) { return (Device)((size_t)gpu * MIG_SLOTS + (size_t)(mig + 2)); }
static int gpu_of(Device device) { return (int)(((size_t)device - 1) / MIG_SLOTS); }
static int mig_of(Device device) { return (int)(((size_t)device - 1) % MIG_SLOTS) - 1; }

/* The GPU of `device` and, if that is one of its MIG devices, this. */
static int open_device(const char *function, Device device, const char **gpu, const char **mig) {
    int error = enter(function);
    if (error) return error;
    *gpu = device ? element(member(text, "gpus"), gpu_of(device)) : NULL;
    *mig = *gpu && mig_of(device) >= 0 ? element(member(*gpu, "mig_devices"), mig_of(device)) : NULL;
    if (!*gpu || (mig_of(device) >= 0 && !*mig)) return INVALID_ARGUMENT;
    return is_true(member(*gpu, "lost")) ? GPU_IS_LOST : OK;
}

/* A value that whole GPUs have, and only those. */
static int open_value(const char *function, Device device, const char *key, const char **value) {
    const char *gpu, *mig;
    int error = open_device(function, device, &gpu, &mig);
    if (error) return error;
    *value = mig ? NULL : member(gpu, key);
    return *value ? OK : NOT_SUPPORTED;
}

/* Library and system */

API int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (read_state()) return DRIVER_NOT_LOADED;
    const char *library = member(text, "library");
    if (is_string(library, "missing")) return LIBRARY_NOT_FOUND;
    if (is_string(library, "not-loaded")) return DRIVER_NOT_LOADED;
    if (is_string(library, "mismatch")) return LIB_RM_VERSION_MISMATCH;
    initialized++;
    return OK;
}

API int nvmlShutdown(void) {
    if (!initialized) return UNINITIALIZED;
    initialized--;
    return OK;
}

/* Asked by nvidia-ml-py only for codes that it has no words for. */
API const char *nvmlErrorString(int code) {
    return code == ARGUMENT_VERSION_MISMATCH ? "Argument version mismatch" : "Error of the simulated NVML";
}

API int nvmlSystemGetDriverVersion(char *version, unsigned size) {
    int error = enter(__func__);
    return error ? error : copy(member(text, "driver_version"), version, size);
}

API int nvmlDeviceGetCount_v2(unsigned *count) {
    int error = enter(__func__);
    if (!error) *count = (unsigned)length(member(text, "gpus"));
    return error;
}

/* Handles */

API int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device *device) {
    const char *gpu, *mig;
    *device = handle((int)index, -1);
    return open_device(__func__, *device, &gpu, &mig);
}

API int nvmlDeviceGetHandleByUUID(const char *uuid, Device *device) {
    int error = enter(__func__);
    if (error) return error;
    const char *gpu, *mig, *gpus = member(text, "gpus");
    for (int index = 0; (gpu = element(gpus, index)); index++) {
        int found = is_string(member(gpu, "uuid"), uuid);
        *device = handle(index, -1);
        for (int part = 0; !found && (mig = element(member(gpu, "mig_devices"), part)); part++)
            if ((found = is_string(member(mig, "uuid"), uuid))) *device = handle(index, part);
        if (found) return is_true(member(gpu, "lost")) ? GPU_IS_LOST : OK;
    }
    return NOT_FOUND;
}

API int nvmlDeviceGetMigMode(Device device, unsigned *current, unsigned *pending) {
    const char *enabled;
    int error = open_value(__func__, device, "mig_enabled", &enabled);
    if (!error) *current = *pending = (unsigned)is_true(enabled);
    return error;
}

API int nvmlDeviceGetMaxMigDeviceCount(Device device, unsigned *count) {
    const char *enabled;
    int error = open_value(__func__, device, "mig_enabled", &enabled);
    *count = error ? 0 : 7;
    return error == NOT_SUPPORTED ? OK : error; /* then none */
}

API int nvmlDeviceGetMigDeviceHandleByIndex(Device device, unsigned index, Device *mig_device) {
    const char *enabled, *gpu, *mig;
    int error = open_value(__func__, device, "mig_enabled", &enabled);
    if (error) return error;
    if (index >= MIG_SLOTS - 1) return INVALID_ARGUMENT;
    *mig_device = handle(gpu_of(device), (int)index);
    error = open_device(__func__, *mig_device, &gpu, &mig);
    return error == INVALID_ARGUMENT ? NOT_FOUND : error;
}

API int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Device mig_device, Device *device) {
    const char *gpu, *mig;
    int error = open_device(__func__, mig_device, &gpu, &mig);
    if (error) return error;
    *device = handle(gpu_of(mig_device), -1);
    return mig ? OK : INVALID_ARGUMENT;
}

API int nvmlDeviceGetGpuInstanceId(Device mig_device, unsigned *instance) {
    const char *gpu, *mig;
    int error = open_device(__func__, mig_device, &gpu, &mig);
    if (error) return error;
    *instance = (unsigned)mig_of(mig_device) + 1;
    return mig ? OK : INVALID_ARGUMENT;
}

API int nvmlDeviceGetGpuInstanceById(Device device, unsigned id, Device *instance) {
    const char *gpu, *mig;
    *instance = handle(gpu_of(device), (int)id - 1);
    int error = id ? open_device(__func__, *instance, &gpu, &mig) : INVALID_ARGUMENT;
    if (error) return error == INVALID_ARGUMENT ? NOT_FOUND : error;
    return member(mig, "placement") ? OK : NO_PERMISSION;
}

API int nvmlGpuInstanceGetInfo(Device instance, InstanceInfo *info) {
    const char *gpu, *mig;
    int error = open_device(__func__, instance, &gpu, &mig);
    if (error) return error;
    const char *profile = member(mig, "profile_id"), *start = member(mig, "placement");
    *info = (InstanceInfo){handle(gpu_of(instance), -1), (unsigned)mig_of(instance) + 1,
                           (unsigned)number(profile), (unsigned)number(start), 1};
    return OK;
}

/* What a device is */

API int nvmlDeviceGetMinorNumber(Device device, unsigned *minor) {
    const char *gpu, *mig;
    int error = open_device(__func__, device, &gpu, &mig);
    if (error) return error;
    *minor = (unsigned)gpu_of(device);
    return mig ? NOT_SUPPORTED : OK;
}

API int nvmlDeviceGetName(Device device, char *name, unsigned size) {
    const char *gpu, *mig;
    int error = open_device(__func__, device, &gpu, &mig);
    if (error || (error = copy(member(gpu, "name"), name, size)) || !mig) return error;
    char profile[32];
    if ((error = copy(member(mig, "profile"), profile, sizeof profile))) return error;
    size_t used = strlen(name);
    int more = snprintf(name + used, size - used, " MIG %s", profile);
    return used + (size_t)more < size ? OK : INSUFFICIENT_SIZE;
}

API int nvmlDeviceGetUUID(Device device, char *uuid, unsigned size) {
    const char *gpu, *mig;
    int error = open_device(__func__, device, &gpu, &mig);
    return error ? error : copy(member(mig ? mig : gpu, "uuid"), uuid, size);
}

API int nvmlDeviceGetPciInfo_v3(Device device, Pci *pci) {
    const char *gpu, *mig;
    int error = open_device(__func__, device, &gpu, &mig);
    if (error) return error;
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)gpu_of(device) + 1;
    snprintf(pci->bus_legacy, sizeof pci->bus_legacy, "0000:%02X:00.0", pci->bus & 0xFF);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", pci->bus & 0xFF);
    return OK;
}

/* What it does */

static int memory_of(const char *function, Device device, Memory *memory) {
    const char *gpu, *mig;
    int error = open_device(function, device, &gpu, &mig);
    if (error) return error;
    const char *total = member(mig ? mig : gpu, "memory_total"), *used = member(mig ? mig : gpu, "memory_used");
    if (!total || !used) return NOT_SUPPORTED;
    memory->total = (unsigned long long)number(total);
    memory->used = (unsigned long long)number(used);
    memory->free = memory->total - memory->used;
    return OK;
}

API int nvmlDeviceGetMemoryInfo(Device device, Memory *memory) { return memory_of(__func__, device, memory); }

API int nvmlDeviceGetMemoryInfo_v2(Device device, MemoryV2 *memory) {
    Memory found;
    if (memory->version != MEMORY_V2) return ARGUMENT_VERSION_MISMATCH;
    int error = memory_of(__func__, device, &found);
    if (error) return error;
    memory->total = found.total, memory->reserved = 0, memory->free = found.free, memory->used = found.used;
    return OK;
}

API int nvmlDeviceGetUtilizationRates(Device device, Utilization *rates) {
    const char *value;
    int error = open_value(__func__, device, "utilisation", &value);
    if (error) return error;
    rates->gpu = (unsigned)number(value);
    error = open_value(__func__, device, "memory_utilisation", &value);
    rates->memory = error ? 0 : (unsigned)number(value);
    return OK;
}

API int nvmlDeviceGetPowerUsage(Device device, unsigned *milliwatts) {
    const char *watts;
    int error = open_value(__func__, device, "power", &watts);
    if (!error) *milliwatts = (unsigned)(number(watts) * 1000);
    return error;
}

API int nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long *millijoules) {
    const char *value;
    int error = open_value(__func__, device, "energy", &value);
    if (!error) *millijoules = (unsigned long long)number(value);
    return error;
}

static int temperature_of(const char *function, Device device, unsigned sensor, int *degrees) {
    const char *value;
    int error = open_value(function, device, "temperature", &value);
    if (error) return error;
    if (sensor != GPU_TEMPERATURE_SENSOR) return INVALID_ARGUMENT;
    *degrees = (int)number(value);
    return OK;
}

API int nvmlDeviceGetTemperatureV(Device device, Temperature *asked) {
    if (asked->version != TEMPERATURE_V1) return ARGUMENT_VERSION_MISMATCH;
    return temperature_of(__func__, device, asked->sensor, &asked->temperature);
}

API int nvmlDeviceGetTemperature(Device device, unsigned sensor, unsigned *degrees) {
    return temperature_of(__func__, device, sensor, (int *)degrees);
}

/* `count`: in, how many fit; out, how many there are. */
static int processes_of(const char *function, Device device, unsigned *count, Process *found, const char *kind) {
    const char *processes;
    int error = open_value(function, device, "processes", &processes);
    if (error) return error;
    unsigned room = found ? *count : 0, total = 0;
    for (int index = 0; element(processes, index); index++) {
        const char *process = element(processes, index), *memory = member(process, "memory");
        if (!is_string(member(process, "kind"), kind)) continue;
        if (total++ >= room) continue;
        found[total - 1] = (Process){
            .pid = (unsigned)number(member(process, "pid")),
            .memory = memory ? (unsigned long long)number(memory) : ~0ULL,
            .gpu_instance = (unsigned)NO_INSTANCE,
            .compute_instance = (unsigned)NO_INSTANCE,
        };
    }
    *count = total;
    return total > room ? INSUFFICIENT_SIZE : OK;
}

API int nvmlDeviceGetComputeRunningProcesses_v3(Device device, unsigned *count, Process *found) {
    return processes_of(__func__, device, count, found, "compute");
}

API int nvmlDeviceGetGraphicsRunningProcesses_v3(Device device, unsigned *count, Process *found) {
    return processes_of(__func__, device, count, found, "graphics");
}

/* Faults */

API int nvmlDeviceGetTotalEccErrors(Device device, unsigned kind, unsigned counter, unsigned long long *count) {
    const char *value;
    if (kind > 1 || counter > 1) return INVALID_ARGUMENT;
    int error = open_value(__func__, device, kind ? "ecc_uncorrected" : "ecc_corrected", &value);
    if (!error) *count = (unsigned long long)number(value);
    return error;
}

API int nvmlDeviceGetFieldValues(Device device, int count, FieldValue *values) {
    const char *gpu, *mig, *action;
    int error = open_device(__func__, device, &gpu, &mig);
    for (int index = 0; !error && index < count; index++) {
        FieldValue *value = values + index;
        action = value->field == RECOVERY_ACTION_FIELD && !mig ? member(gpu, "recovery_action") : NULL;
        value->result = action ? OK : NOT_SUPPORTED;
        value->type = UNSIGNED_INT;
        value->value = (unsigned long long)number(action);
    }
    return error;
}

API int nvmlEventSetCreate(EventSet **set) {
    int error = enter(__func__);
    if (error) return error;
    *set = calloc(1, sizeof **set);
    if (!*set) return UNKNOWN;
    (*set)->seen = length(member(text, "xids"));
    return OK;
}

API int nvmlDeviceRegisterEvents(Device device, unsigned long long types, EventSet *set) {
    const char *gpu, *mig;
    int error = open_device(__func__, device, &gpu, &mig);
    if (error) return error;
    if (mig || (types & ~(unsigned long long)XID_EVENT) || gpu_of(device) >= 64) return NOT_SUPPORTED;
    set->gpus |= 1ULL << gpu_of(device);
    return OK;
}

static int next_event(EventSet *set, Event *event) {
    const char *xids = member(text, "xids"), *xid;
    while ((xid = element(xids, set->seen))) {
        int gpu = (int)number(member(xid, "gpu"));
        set->seen++;
        if (gpu < 0 || gpu >= 64 || !(set->gpus >> gpu & 1)) continue;
        *event = (Event){handle(gpu, -1), XID_EVENT, (unsigned long long)number(member(xid, "xid")),
                         (unsigned)NO_INSTANCE, (unsigned)NO_INSTANCE};
        return 1;
    }
    return 0;
}

API int nvmlEventSetWait_v2(EventSet *set, Event *event, unsigned timeout_ms) {
    for (unsigned waited = 0;; waited += POLL_MS) {
        int error = enter(__func__);
        if (error) return error;
        if (next_event(set, event)) return OK;
        if (waited >= timeout_ms) return TIMEOUT;
        nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL);
    }
}

API int nvmlEventSetFree(EventSet *set) {
    free(set);
    return OK;
}
