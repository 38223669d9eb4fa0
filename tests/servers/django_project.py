"""django-oauth-toolkit and simplejwt on a free port of loopback. It ends with its standard input.

Beside what they bring there are two views of the Django REST framework, and a third for "sign out everywhere".
"""

import os
import sys
import threading

import django
from django.conf import settings

# Before the settings: Django reads some of them at import.
settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="a key of these tests alone, of 32 bytes or more",
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "oauth2_provider",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(sys.argv[1], "db.sqlite3"),
            "OPTIONS": {"timeout": 60},
        }
    },
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast, and tests need no other
    USE_TZ=True,
    OAUTH2_PROVIDER={"ACCESS_TOKEN_EXPIRE_SECONDS": 777, "OIDC_ENABLED": True, "PKCE_REQUIRED": False},
    SIMPLE_JWT={
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": True,
        "CHECK_REVOKE_TOKEN": True,
    },
)
django.setup()

from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.contrib.auth.models import User
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication
from oauth2_provider.models import Application
from oauth2_provider.urls import metadata_urlpatterns
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

USER, PASSWORD = os.environ["USER_NAME"], os.environ["USER_PASSWORD"]


class HasToken(BasePermission):
    """A token of client credentials has no user."""

    def has_permission(self, request, view):
        return request.auth is not None


class OAuth2Api(APIView):
    authentication_classes = [OAuth2Authentication]
    permission_classes = [HasToken]

    def get(self, request):
        return Response({"scope": request.auth.scope})


class JwtApi(APIView):
    authentication_classes = [JWTAuthentication]
    permission_classes = [IsAuthenticated]

    def get(self, request):
        return Response({"user": request.user.get_username()})


def sign_out_everywhere(request):
    """The same password with another salt: simplejwt then rejects each earlier access token."""
    user = User.objects.get(username=USER)
    user.set_password(PASSWORD)
    user.save()
    return HttpResponse()


urlpatterns = [
    path("o/", include("oauth2_provider.urls")),
    path("", include((metadata_urlpatterns, "metadata"))),
    path("o/api", OAuth2Api.as_view()),
    path("jwt/token/", TokenObtainPairView.as_view()),
    path("jwt/token/refresh/", TokenRefreshView.as_view()),
    path("jwt/api", JwtApi.as_view()),
    path("jwt/sign-out-everywhere", sign_out_everywhere),
]

call_command("migrate", verbosity=0)
User.objects.create_user(USER, password=PASSWORD)
for client_id, grant in [("a:b", "client-credentials"), ("old", "password")]:
    Application.objects.create(
        client_id=client_id,
        client_secret=os.environ["CLIENT_SECRET"],
        client_type="confidential",
        authorization_grant_type=grant,
    )

ThreadedWSGIServer.request_queue_size = 1024
server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
server.daemon_threads = True
server.set_app(get_wsgi_application())
print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
