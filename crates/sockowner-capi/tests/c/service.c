/* A service of Windows that listens, and writes its port into the file that its first argument names. */
#include "os.h"

static SERVICE_STATUS_HANDLE manager;
static HANDLE stop;
static const char *port_file;

static void tell(DWORD state) {
    SERVICE_STATUS status;
    memset(&status, 0, sizeof status);
    status.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    status.dwCurrentState = state;
    status.dwControlsAccepted = state == SERVICE_RUNNING ? SERVICE_ACCEPT_STOP : 0;
    SetServiceStatus(manager, &status);
}

static void WINAPI on_control(DWORD control) {
    if (control == SERVICE_CONTROL_STOP)
        SetEvent(stop);
}

static void WINAPI serve(DWORD argc, LPSTR *argv) {
    static char empty[] = "";
    char draft[4096];
    os_socket listener;
    FILE *file;
    (void)argc;
    (void)argv;
    manager = RegisterServiceCtrlHandlerA(empty, on_control);
    os_must(manager != NULL, "RegisterServiceCtrlHandler");
    stop = CreateEventA(NULL, TRUE, FALSE, NULL);
    os_must(stop != NULL, "CreateEvent");
    os_begin();
    listener = os_listen(0);
    /* Whole, or not there. */
    snprintf(draft, sizeof draft, "%s.draft", port_file);
    file = fopen(draft, "w");
    os_must(file != NULL && fprintf(file, "%u", os_port(listener)) > 0 && fclose(file) == 0, draft);
    os_must(rename(draft, port_file) == 0, port_file);
    tell(SERVICE_RUNNING);
    WaitForSingleObject(stop, INFINITE);
    os_close(listener);
    tell(SERVICE_STOPPED);
}

int main(int argc, char **argv) {
    static char empty[] = "";
    SERVICE_TABLE_ENTRYA table[] = {{empty, serve}, {NULL, NULL}};
    os_must(argc == 2, "usage: service FILE");
    port_file = argv[1];
    os_must(StartServiceCtrlDispatcherA(table), "StartServiceCtrlDispatcher");
    return 0;
}
