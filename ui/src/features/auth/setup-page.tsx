import { Button, PasswordInput, Stack } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, Link, useRouter } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, send } from "@/api/client";
import { ApiError } from "@/api/problem";
import { FormError } from "@/components/form-error";
import { AuthCard } from "./auth-card";
import classes from "./auth-card.module.css";
import { logIn } from "./log-in";
import { setupQuery } from "./session";

const route = getRouteApi("/setup");

/** The first run: chooses the administrator's password, with the token of the printed link. */
export function SetupPage() {
  const { token } = route.useSearch();
  const setup = useQuery(setupQuery);
  if (setup.data?.value.setup_completed) return <AlreadyDone />;
  return token ? <ChoosePassword token={token} /> : <LinkMissing />;
}

function AlreadyDone() {
  return (
    <AuthCard title="Already set up">
      <p className={classes.hint}>The administrator has a password.</p>
      <Link to="/login">Log in</Link>
    </AuthCard>
  );
}

function LinkMissing() {
  return (
    <AuthCard title="Welcome">
      <p className={classes.hint}>
        The server printed a link when it started: “choose the administrator's password at …”. Open
        that link to begin. Whoever can read the server's output can set it up, and nobody else.
      </p>
    </AuthCard>
  );
}

function ChoosePassword({ token }: { token: string }) {
  const router = useRouter();
  const client = useQueryClient();
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const setUp = useMutation({
    mutationFn: async () => {
      const body = { password, confirm_password: again, setup_token: token };
      const { username } = await send(api.POST("/api/setup/admin-password", { body }));
      await logIn(username, password);
    },
    onSuccess: () => {
      client.clear();
      router.history.push("/");
    },
  });
  const field = (pointer: string) =>
    setUp.error instanceof ApiError ? setUp.error.field(pointer) : null;
  const isShownAtField = field("/password") !== null || field("/confirm_password") !== null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setUp.mutate();
  };
  return (
    <AuthCard title="Choose a password">
      <p className={classes.hint}>
        You will log in as <code>admin</code>.
      </p>
      <form onSubmit={submit}>
        <input type="hidden" name="username" autoComplete="username" value="admin" readOnly />
        <Stack>
          <PasswordInput
            label="Password"
            description="8 characters or more"
            autoComplete="new-password"
            required
            withAsterisk={false}
            autoFocus
            minLength={8}
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
            error={field("/password")}
          />
          <PasswordInput
            label="The same again"
            autoComplete="new-password"
            required
            withAsterisk={false}
            value={again}
            onChange={(event) => setAgain(event.currentTarget.value)}
            error={field("/confirm_password")}
          />
          <FormError error={isShownAtField ? null : setUp.error} />
          <Button type="submit" loading={setUp.isPending} fullWidth>
            Set the password and log in
          </Button>
        </Stack>
      </form>
    </AuthCard>
  );
}
